"""`clad bench --rollout`: lock-step graph against the direct loop, the same episodes in turns."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from clad.cli.outputs import RESULT, check_json
from clad.cli.running import ros_or_refuse
from clad.errors import CladError


def run_rollout_bench(args: argparse.Namespace) -> int:
    """Measure, print, write --json."""
    from tqdm import tqdm

    from clad.bench.graph import table
    from clad.bench.rollout import compare
    from clad.eval.machine import machine, versions

    check_json(args.json)
    ros_or_refuse()
    episodes: dict[str, list[dict]] = {"eval": [], "sim": []}
    with tempfile.TemporaryDirectory(prefix="clad-bench-") as folder:
        for i in tqdm(range(args.rollout), unit="pair"):
            for command, found in episodes.items():  # in turns, so that other work on the machine meets both
                found += _episode(command, i, args, Path(folder) / f"{command}-{i}")
    row = compare(episodes["eval"], episodes["sim"])
    print(table([row]))
    print("baseline: the same episodes in one process, clad eval; the ratio is the median over pairs")
    if args.json:
        body = {"schema": 1, "machine": machine(), "versions": versions(), "measures": [row.to_json()]}
        Path(args.json).write_text(json.dumps(body, indent=1) + "\n")
    return 0


def _episode(command: str, init: int, args: argparse.Namespace, out: Path) -> list[dict]:
    words = [
        sys.executable,
        "-m",
        "clad.cli.main",
        command,
        "--init",
        str(init),
        "--seed",
        str(init),
        "--out",
        str(out),
    ]
    words += ["--threads", str(args.threads), *(["--model", args.model] if args.model else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CladError(f"clad {command} failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads((out / RESULT).read_text())["episodes"]
