"""`clad demos`: scripted demonstrations in LIBERO's own HDF5 layout."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from clad.cli import options
from clad.cli.outputs import check_json, make_writable
from clad.errors import CladError

HELP = "collect scripted demonstrations on sampled LIBERO scenes, never on evaluation states"

EXAMPLES = """\
  clad demos --suite libero_10 --task 5 --per-task 150 --workers 2
  clad demos --suite libero_10 --task all --per-task 100 --workers 2    every task that has an expert, in turns
  clad demos --suite libero_object --task 0 --per-task 10 --visuals fast
  clad demos --robot fake --per-task 150    of the fake robot's task, as a LeRobot dataset; seconds each
  clad demos --suite libero_10 --task all --check 20    how often the experts succeed; nothing is collected

Killed or interrupted, the same command goes on where it stopped; a larger --per-task adds to the files.
What was collected, in a page with pictures: clad data card data/demos
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--robot",
        default="libero",
        choices=("libero", "fake"),
        help="whose demonstrations: LIBERO's tasks, or the fake robot's own, which has no suite (default: %(default)s)",
    )
    options.add(
        parser,
        *("suite", "task"),
        suite={"default": "libero_10", "help": "LIBERO suite, e.g. libero_10, libero_object"},
        task={
            "type": options.tasks,
            "default": "5",
            "metavar": "N,N|all",
            "help": "tasks of the suite; all: every one that there is a scripted expert for",
        },
    )
    parser.add_argument(
        "--per-task",
        type=options.count,
        default=50,
        metavar="N",
        help="successful demonstrations of each task in the end (default: %(default)s)",
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
    parser.add_argument(
        "--check",
        type=options.count,
        metavar="N",
        help="collect nothing: let the experts try N trial scenes (up to 500) a task, without pictures, and print a table",
    )
    options.add(
        parser,
        "visuals",
        "out",
        "json",
        out={"default": None, "help": "where the demonstrations go (default: data/demos; of fake data/demos-fake)"},
    )


def run(args: argparse.Namespace) -> int:
    if args.robot == "fake":
        return _fake(args)
    args.out = args.out or "data/demos"
    from clad.sim.demos import Job, collect, tasks_with_expert

    check_json(args.json)
    tasks = tasks_with_expert(args.suite) if args.task == options.ALL else args.task
    if args.check:
        return _check(args.suite, tasks, args.check, args.json)
    make_writable(Path(args.out), "--out")
    jobs = [
        Job(
            suite=args.suite,
            task=task,
            per_task=args.per_task,
            out=Path(args.out),
            first_seed=args.first_seed,
            visuals=args.visuals,
        )
        for task in tasks
    ]
    summaries = collect(jobs, args.workers)
    if args.json:
        Path(args.json).write_text(json.dumps({"schema": 1, "tasks": summaries}, indent=1) + "\n")
    for summary in summaries:
        failed = f"{summary['failures_n']} of {summary['attempts_n']} attempts failed"
        print(f"{summary['file']}: {summary['demonstrations_n']} demonstrations, {failed}")
    return 0


def _fake(args: argparse.Namespace) -> int:
    """Of the robot that clad_fake_robot simulates: one task, one LeRobot dataset, one process."""
    os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa's software renderer would take every core
    from tqdm import tqdm

    from clad.contract import load_contract
    from clad.sim.gl import choose_backend

    choose_backend()
    try:
        from clad_fake_robot.demos import FIRST_SEED, collect
    except ImportError as error:
        raise CladError(
            f"the fake robot is not on the path ({error})", "Run ./clad, or source the workspace"
        ) from error
    folder = Path(args.out or "data/demos-fake")
    make_writable(folder, "--out")
    out = folder / "fake"
    with tqdm(total=args.per_task, unit="demo", desc="fake") as bar:
        for words in collect(load_contract("fake"), out, args.per_task, first_seed=max(args.first_seed, FIRST_SEED)):
            bar.set_postfix_str(words)
            bar.update()
    print(f"{out}: {args.per_task} demonstrations")
    return 0


def _check(suite: str, tasks: Sequence[int], n: int, json_path: str | None) -> int:
    import sys

    from tqdm import tqdm

    from clad.sim.expert.trial import TRIAL_SEEDS, table, try_expert

    seeds = TRIAL_SEEDS[:n]
    outcomes = {
        (suite, task): list(
            tqdm(try_expert(suite, task, seeds), total=len(seeds), desc=f"{suite} {task}", file=sys.stderr)
        )
        for task in tasks
    }
    print(table(outcomes))
    if json_path:
        rows = [
            {"suite": suite, "task": task, "seed": seed, **asdict(outcome)}
            for (suite, task), tried in outcomes.items()
            for seed, outcome in zip(seeds, tried, strict=True)
        ]
        Path(json_path).write_text(json.dumps({"schema": 1, "rows": rows}, indent=1) + "\n")
    return 0
