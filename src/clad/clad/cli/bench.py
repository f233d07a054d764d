"""`clad bench`: how long each part of a decision takes, against a memory floor and torch eager in the same run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from clad.cli import options

HELP = "time each part of a decision against a memory floor and torch eager, or the whole running graph"
EXAMPLES = """\
  clad bench                                   the first model in models/ that sees, on one CPU thread
  clad bench --model NAME --n 300 --json FILE  more runs, and the result as a file
  clad bench --config paper --n 20             a model of the paper's size with random weights (6 GB of memory)
  clad bench --config paper --precision int8   … with int8 beside fp32
  clad bench --config small --variant dit --fused   another denoiser, stepwise and fused
  clad bench --config paper --device cuda      the same on a GPU
  clad bench --graph --minutes 10              the running ROS graph on the loopback robot: periods, latency, CPU, memory
  clad bench --graph --realtime 10             … with real-time priority, as a robot should have it
  clad bench --rollout 5                       what the graph costs in lock-step: wall time a step over the direct loop's
  clad bench --soak 120                        the same for two hours: what grows?
"""
# what the paper states for its own model, on one RTX 4090: name of our row -> its figure
PAPER = {"plan": "12 ms, RTX 4090"}
PAPER_RATE = "the paper's whole loop: 25 Hz, 4 GB, on one RTX 4090"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add(parser, "model")
    parser.add_argument(
        "--config",
        choices=("small", "paper"),
        default=None,
        help="instead of a model: this size with random weights, exported into a temporary folder; without encoder",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where (default: %(default)s)")
    parser.add_argument("--n", type=options.count, default=100, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument(
        "--precision", nargs="+", choices=("int8", "fp16"), default=[], help="with --config: measure these too"
    )
    parser.add_argument("--fused", action="store_true", help="with --config: measure the sampler as one network too")
    options.add(
        parser,
        *("variant", "set"),
        variant={"help": "with --config: a named variant of it, see docs/variants.md; may repeat"},
        set={"help": "with --config: change one setting, e.g. policy.width=512; may repeat"},
    )
    parser.add_argument(
        "--graph",
        action="store_true",
        help="time the ROS graph on the loopback robot instead; a model of random weights",
    )
    parser.add_argument(
        "--minutes", type=float, default=1.0, metavar="M", help="with --graph: for how long (default: %(default)s)"
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=25.0,
        metavar="HZ",
        help="with --graph: of control and plans (default: %(default)s)",
    )
    parser.add_argument("--soak", type=float, default=None, metavar="MINUTES", help="--graph for long: what grows?")
    parser.add_argument(
        "--rollout",
        type=options.count,
        default=None,
        metavar="N",
        help="wall time a step: N episodes of clad sim over clad eval",
    )
    options.add(parser, "threads", "realtime", "json")


def run(args: argparse.Namespace) -> int:
    import tempfile

    from clad.bench.measures import providers
    from clad.errors import UsageError
    from clad.runtime.bundle import load_bundle, load_encoder

    if args.graph or args.soak is not None:
        from clad.cli.bench_graph import run_graph_bench

        return run_graph_bench(args)
    if args.realtime:
        raise UsageError("--realtime is for nodes", "Give it with --graph or --soak")
    if args.rollout:
        from clad.cli.bench_rollout import run_rollout_bench

        return run_rollout_bench(args)
    if args.config and args.model:
        raise UsageError("--model and --config are two things to measure", "Give one of them")
    providers(args.device)  # refused before anything is built for it
    if not args.config and (args.variant or args.set):
        raise UsageError("--variant and --set change a configuration", "Give it with --config, e.g. --config small")
    if not args.config and (args.precision or args.fused):
        raise UsageError("a model is measured with what it has", "Add to it: clad export --from NAME --precision int8")
    if not args.config:
        bundle = load_bundle(args.model)
        return _bench(args, bundle, load_encoder(bundle, provider=args.device, threads=args.threads))
    from clad.export.sizes import preset, random_bundle
    from clad.export.variants import derive_bundle

    with tempfile.TemporaryDirectory(prefix="clad-bench-") as folder:
        bundle = random_bundle(
            *preset(args.config, args.set, args.variant), "-".join(["random", args.config, *args.variant]), Path(folder)
        )
        if args.precision or args.fused:
            bundle = derive_bundle(bundle, bundle.name, Path(folder), precisions=args.precision, fused=args.fused)
        return _bench(args, bundle, None)


def _bench(args: argparse.Namespace, bundle, encoder) -> int:
    from datetime import datetime, timezone

    from clad.bench import measures, rows
    from clad.contract import load_contract
    from clad.eval.machine import machine, versions

    found = measures.build(
        bundle,
        device=args.device,
        threads=args.threads,
        encoder=encoder,
        image_size=load_contract(bundle.contract_name).image_size,
    )
    bandwidth = rows.cpu_bandwidth if args.device == "cpu" else rows.cuda_bandwidth
    results = rows.run(found, args.n, bandwidth)
    anchors = PAPER if args.config == "paper" else {}
    where = machine() | ({"gpu": _gpu()} if args.device == "cuda" else {})
    software = versions() | _torch_version()
    print(
        f"{bundle.id} on {args.device}, {args.threads} thread(s), {args.n} runs each; {where.get('gpu') or where['cpu']}"
    )
    print(rows.table(results, anchors))
    print("floor: reading the weights once at the memory bandwidth measured here; see docs/performance.md")
    if anchors:
        print(PAPER_RATE)
    if args.json:
        body = {
            "schema": 1,
            "model": {"name": bundle.name, "sha256": bundle.sha256},
            "device": args.device,
            "threads": args.threads,
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": where,
            "versions": software,
            "anchors": {name: f"{text} (the paper's)" for name, text in anchors.items()},
            "measures": [row.to_json() for row in results],
        }
        Path(args.json).write_text(json.dumps(body, indent=1) + "\n")
    return 0


def _gpu() -> str:
    """The GPU's name, from torch or the driver's tool; 'unknown' when neither says."""
    import importlib.util
    import shutil
    import subprocess

    if importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    if tool := shutil.which("nvidia-smi"):
        command = [tool, "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return "unknown"


def _torch_version() -> dict[str, str]:
    from importlib import metadata

    try:
        return {"torch": metadata.version("torch")}
    except metadata.PackageNotFoundError:
        return {}
