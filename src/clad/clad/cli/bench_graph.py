"""`clad bench --graph` and `--soak`: the running graph on the loopback robot, timed."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from clad.cli.outputs import check_json
from clad.cli.running import ros_or_refuse
from clad.errors import CladError, UsageError

LOOKS = 300  # at the processes in a run, but …
QUICKEST, SLOWEST = 1.0, 30.0  # … s between two of them


def run_graph_bench(args: argparse.Namespace) -> int:
    """Measure, print, write --json. The verdict is the reader's; a measured shortfall is a result, not an error."""
    from clad.bench import graph, robot
    from clad.eval.machine import machine, versions
    from clad.runtime.bundle import load_bundle, load_encoder

    minutes = args.minutes if args.soak is None else args.soak
    if not 0.1 <= minutes <= 10_000 or not 1 <= args.rate <= 200:
        raise UsageError(f"{minutes:g} minutes at {args.rate:g} Hz", "Give 0.1 minutes or more, and 1 to 200 Hz")
    if args.config or args.variant or args.set or args.precision or args.fused or args.device != "cpu":
        raise UsageError("--graph times a small model on the CPU", "Leave out --config and what goes with it")
    check_json(args.json)
    ros = ros_or_refuse()
    from clad_bringup.conductor import conduct
    from clad_bringup.timing import timed_graph, watch_episode

    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    encoder = load_encoder(load_bundle(args.model), threads=args.threads)
    with tempfile.TemporaryDirectory(prefix="clad-bench-") as name:
        folder = Path(name)
        (folder / encoder.path.name).symlink_to(encoder.path.absolute())
        file, contract = robot.contract_at(args.rate, folder)
        print("exporting a model with random weights", file=sys.stderr, flush=True)
        bundle = robot.random_model(contract, encoder, folder)
        floors = robot.floors(bundle, encoder)
        baselines = robot.baselines(bundle, contract, args.n, args.threads)
        specs = timed_graph(
            {
                "model": str(bundle.path),
                "threads": str(args.threads),
                "realtime": str(args.realtime),
                "out": str(folder),
            },
            file,
            args.rate,
        )
        before = graph.shared_memory_segments()
        every = min(max(60 * minutes / LOOKS, QUICKEST), SLOWEST)
        with ros.own_domain(), ros.Console(folder / "nodes.log", "nobody") as show:
            try:
                seen = conduct(
                    specs, lambda c: watch_episode(c, contract, seconds=60 * minutes, every=every), show=show
                )
            except CladError as error:
                tail = (folder / "nodes.log").read_text(errors="replace").splitlines()[-20:]
                raise CladError(f"{error}. The nodes' last lines: {' | '.join(tail)}") from error
        left = graph.shared_memory_segments() - before
    rows = graph.rows(seen, floors, baselines)
    trends = graph.trends(seen) if args.soak is not None else []  # in a minute, warming up looks like a leak
    where = machine()
    precedence = f"real-time priority {args.realtime}" if args.realtime else "ordinary scheduling"
    print(f"small model, random weights, {args.rate:g} Hz for {minutes:g} min, loopback robot, {precedence}")
    print(where["cpu"])
    print(graph.table(rows))
    print(
        "floor: reading the weights once; baseline: the same work in one process without ROS; see docs/performance.md"
    )
    print(f"missed deadlines: {seen.missed()} of {len(seen.executed_at)} control steps")
    for reason, count in seen.holds().most_common():
        print(f"  held {count} x: {reason}")
    for trend in trends:
        print(trend.words)
    print(f"shared-memory segments: {len(left)} more than before (of every graph on this machine)")
    if args.json:
        body = {
            "schema": 1,
            "model": {"name": bundle.name, "sha256": bundle.sha256},
            "graph": {
                "robot": "loopback",
                "rate_hz": args.rate,
                "minutes": minutes,
                "threads": args.threads,
                "realtime": args.realtime,
            },
            "started": started,
            "machine": where,
            "versions": versions(),
            "measures": [row.to_json() for row in rows],
            "missed_deadlines": seen.missed(),
            "control_steps": len(seen.executed_at),
            "held": dict(seen.holds()),
            "trends": [
                {"name": t.name, "slope": t.slope, "error": t.error, "n": t.n, "unit": f"{t.unit}/h", "rises": t.rises}
                for t in trends
            ],
            "shared_memory_segments_left": len(left),
        }
        Path(args.json).write_text(json.dumps(body, indent=1) + "\n")
    return 0
