"""`clad demos`: scripted demonstrations in LIBERO's own HDF5 layout."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from clad.cli import options
from clad.cli.outputs import check_json, make_writable

HELP = "collect scripted demonstrations on sampled LIBERO scenes, never on evaluation states"

EXAMPLES = """\
  clad demos --suite libero_10 --task 5 --per-task 150 --workers 2
  clad demos --suite libero_object --task 0 --per-task 10 --visuals fast

Killed or interrupted, the same command goes on where it stopped; a larger --per-task adds to the file.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add(
        parser,
        *("suite", "task"),
        suite={"default": "libero_10", "help": "LIBERO suite, e.g. libero_10, libero_object"},
        task={"default": 5, "help": "task index within the suite; there must be an expert for it"},
    )
    parser.add_argument(
        "--per-task",
        type=options.count,
        default=50,
        metavar="N",
        help="successful demonstrations that the file shall hold (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=options.count,
        default=1,
        metavar="N",
        help="processes; each takes a core and 1.0 to 2.5 GB (default: %(default)s)",
    )
    parser.add_argument(
        "--first-seed",
        type=options.index,
        default=1000,
        metavar="N",
        help="seed of the first sampled scene, 1000 or more (default: %(default)s)",
    )
    options.add(parser, "visuals", "out", "json", out={"default": "data/demos", "help": "where the demonstrations go"})


def run(args: argparse.Namespace) -> int:
    from clad.sim.demos import Job, collect

    make_writable(Path(args.out), "--out")
    check_json(args.json)
    job = Job(
        suite=args.suite,
        task=args.task,
        per_task=args.per_task,
        out=Path(args.out),
        workers=args.workers,
        first_seed=args.first_seed,
        visuals=args.visuals,
    )
    summary = collect(job)
    if args.json:
        Path(args.json).write_text(json.dumps(summary, indent=1) + "\n")
    failed = f"{summary['failures_n']} of {summary['attempts_n']} attempts failed"
    print(f"{job.path}: {args.per_task} demonstrations, {failed}")
    return 0
