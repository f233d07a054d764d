"""`clad study delay`: success and smoothness against injected latency, for every way of joining chunks.

A study runs episodes, for hours if need be, and resumes; drawing is a part of it. Commands that only draw read its files.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from clad.cli import options
from clad.cli.outputs import make_writable
from clad.eval.episodes import FIRST_VALIDATION_SEED, validation_episodes
from clad.runtime.joining import STRATEGIES

HELP = "vary one thing and measure: how each way of joining chunks stands latency, jitter and losses"
EXAMPLES = """\
  clad study delay                                     5 strategies x 7 delays x 1 scene, in this process
  clad study delay --episodes 20 --out runs/delay      20 scenes each; the same command goes on after an interruption
  clad study delay --execution hold rtc --delay 0 100 200 --jitter 100 --drop 0.1 --out runs/rough
  clad study delay --graph --episodes 5 --out runs/live
                                                       through the free-running ROS graph: the delay is added to its own

Scenes are sampled, from --seed-base on: never the benchmark's evaluation states, so that a default may be chosen by it.
--out holds study.json (a row an episode), study.csv (a line a condition) and pictures. docs/delay.md explains every figure.
"""
DELAYS = (0.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0)  # ms


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("delay",), metavar="delay", help="the study")
    options.add(
        parser,
        *("model", "suite", "task", "episodes", "visuals", "max-steps", "provider", "precision"),
        *("sample-steps", "warm-start", "threads", "out"),
        episodes={"help": "scenes for each strategy at each delay"},
        visuals={"default": "fast"},
        out={"help": "where the study goes, or goes on (default: runs/study-DATE-TIME)"},
    )
    parser.add_argument(
        "--execution",
        nargs="+",
        choices=tuple(STRATEGIES),
        default=list(STRATEGIES),
        metavar="NAME",
        help=f"how chunks join (default: {' '.join(STRATEGIES)})",
    )
    parser.add_argument(
        "--delay",
        nargs="+",
        type=float,
        default=list(DELAYS),
        metavar="MS",
        help=f"from observation to chunk; in process rounded up to control steps (default: {' '.join(f'{d:g}' for d in DELAYS)})",
    )
    parser.add_argument(
        "--jitter",
        type=float,
        default=0.0,
        metavar="MS",
        help="added to each chunk's delay, uniform from 0 (default: 0)",
    )
    parser.add_argument(
        "--drop", type=float, default=0.0, metavar="FRACTION", help="of the chunks that are lost (default: 0)"
    )
    parser.add_argument(
        "--seed-base",
        type=options.index,
        default=FIRST_VALIDATION_SEED,
        metavar="N",
        help="seed of the first sampled scene (default: %(default)s)",
    )
    parser.add_argument(
        "--graph",
        action="store_true",
        help="through the free-running ROS graph, in ROS time, instead of in this process",
    )


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clad.cli.outputs import new_folder
    from clad.runtime.bundle import load_bundle
    from clad.runtime.catalogue import trained_task
    from clad.sim.suites import task_info
    from clad.study import record
    from clad.study.delay import conditions
    from clad.study.plots import draw

    found = conditions(args.execution, args.delay, jitter_ms=args.jitter, drop=args.drop)
    bundle = load_bundle(args.model)
    suite, task = trained_task(bundle.path, args.suite)
    task = task if args.task is None else args.task
    max_steps = args.max_steps or task_info(suite, task).max_steps
    specs = validation_episodes(suite, task, episodes=args.episodes, seed=args.seed_base)
    out = Path(args.out or new_folder("study")).absolute()
    make_writable(out, "--out")
    file = out / record.FILE
    settings = {"study": "delay", "model": {"name": bundle.name, "sha256": bundle.sha256}}
    settings |= {"mode": "free-run graph" if args.graph else "in process", "visuals": args.visuals}
    settings |= {"precision": args.precision, "max_steps": max_steps}
    settings |= {"sample_steps": args.sample_steps, "warm_start": args.warm_start}
    study = record.Study.resume(file, settings)
    # scene by scene, so that an interrupted study has every condition
    work = [(spec, condition) for spec in specs for condition in found]
    todo = [pair for pair in work if not study.has(*pair)]
    print(
        f"{bundle.id}: {suite} {task}, {settings['mode']}, {len(todo)} of {len(work)} episodes to run", file=sys.stderr
    )
    started, before = time.monotonic(), study.wall_s
    with tqdm(total=len(work), initial=len(work) - len(todo), unit="episode", smoothing=0) as progress:

        def keep(row: dict) -> None:
            study.rows.append(row)
            study.wall_s = before + time.monotonic() - started
            study.write(file)
            progress.set_postfix_str(
                f"{row['execution']} {row['delay_ms']:g} ms: {'success' if row['success'] else '-'}"
            )
            progress.update()

        if todo:
            (_through_the_graph if args.graph else _in_process)(args, bundle, todo, keep, max_steps, out)
    lines = record.table(study.rows)
    record.write_csv(lines, out / record.TABLE)
    n = len({row["seed"] for row in study.rows})
    pictures = draw(lines, out, f"{bundle.name}, {suite} {task}, {settings['mode']}, {n} sampled scenes")
    print(record.text(lines))
    print("\n".join(map(str, (file, out / record.TABLE, *pictures))))
    return 0


def _in_process(args, bundle, todo, keep, max_steps: int, out: Path) -> None:
    from clad.contract import load_contract
    from clad.runtime.planner import Planner
    from clad.runtime.policy import Policy
    from clad.sim.libero_env import LiberoEnv
    from clad.study.delay import run_delayed

    placement = {"provider": args.provider, "threads": args.threads, "precision": args.precision}
    contract = load_contract("libero")
    planner = Planner(bundle, contract, **placement)
    policy = Policy(bundle, contract, sample_steps=args.sample_steps, warm_start=args.warm_start, **placement)
    planner.warm_up()
    policy.warm_up()
    spec, _ = todo[0]
    with LiberoEnv(spec.suite, spec.task, contract=contract, visuals=args.visuals) as env:
        for spec, condition in todo:
            keep(
                run_delayed(
                    env, planner, policy, spec, condition, execute_steps=bundle.execute_steps, max_steps=max_steps
                )
            )


def _through_the_graph(args, bundle, todo, keep, max_steps: int, out: Path) -> None:
    """One graph a strategy, because that is a parameter of its nodes."""
    from clad.cli.running import ros_or_refuse
    from clad.contract import load_contract

    ros = ros_or_refuse()
    from clad_bringup.conductor import conduct
    from clad_bringup.delayed import delayed_graph, run_delayed

    spec, _ = todo[0]
    names = {"suite": spec.suite, "task": spec.task, "visuals": args.visuals, "model": bundle.path}
    names |= {"provider": args.provider, "precision": args.precision, "threads": args.threads, "out": out}
    names |= {"sample_steps": args.sample_steps, "warm_start": str(args.warm_start).lower()}
    arguments = {name: str(value) for name, value in names.items()}
    for execution in dict.fromkeys(condition.execution for _, condition in todo):
        mine = [pair for pair in todo if pair[1].execution == execution]
        with ros.own_domain(), ros.Console(out / "nodes.log", "nobody") as show:
            conduct(
                delayed_graph(arguments | {"execution": execution}),
                lambda conductor, mine=mine: run_delayed(
                    conductor, load_contract("libero"), mine, keep, max_steps=max_steps
                ),
                show=show,
            )
