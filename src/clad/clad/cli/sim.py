"""`clad sim`: the whole graph on real LIBERO, from reset to result, with a bag and a video an episode."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import datetime
from pathlib import Path

from clad.cli import options
from clad.errors import CladError, UsageError

HELP = "a trained model solves a LIBERO task through ROS 2 nodes; bag, video and result are left behind"
EXAMPLES = """\
  clad sim                                       one episode of the task that the model was trained on
  clad sim --episodes 50 --out runs/long5        the benchmark's 50 evaluation states
  clad sim --episodes 50 --out runs/long5 --resume
                                                 go on after an interruption
  clad sim --mode free-run --visuals fast        simulated time follows the wall clock
  clad sim --suite libero_object --task 0 --init 3 --view
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add(
        parser,
        *("suite", "task", "init", "episodes", "seed", "protocol", "mode", "visuals", "model", "max-steps"),
        *("provider", "threads", "out", "json", "resume"),
        out={"default": None, "help": "where result.json, bags/ and videos go (default: runs/sim-DATE-TIME)"},
    )
    parser.add_argument("--view", action="store_true", help="show the cameras in a window while the robot moves")


def run(args: argparse.Namespace) -> int:
    from clad.eval.episodes import evaluation_episodes
    from clad.runtime.bundle import load_bundle
    from clad.runtime.catalogue import trained_task
    from clad.sim.suites import task_info

    if args.resume and args.out is None:
        raise UsageError("--resume needs the --out of the run to go on with", "Add --out DIR")
    bundle = load_bundle(args.model)
    suite, task = trained_task(bundle.path, args.suite)
    task = task if args.task is None else args.task
    facts = task_info(suite, task)
    evaluation_episodes(  # refuses an evaluation state that does not exist
        suite, task, episodes=args.episodes, init=args.init, seed=args.seed, n_init_states=facts.n_init_states
    )
    out = Path(args.out or f"runs/sim-{datetime.now():%Y%m%d-%H%M%S}").absolute()
    if (out / "result.json").exists() and not args.resume:
        raise UsageError(
            f"{out / 'result.json'} exists already", "Add --resume to go on with it, or give another --out"
        )
    sim_graph, run_graph, own_domain = _ros()
    arguments = {
        "suite": suite,
        "task": task,
        "init": args.init,
        "episodes": args.episodes,
        "seed": args.seed,
        "protocol": args.protocol,
        "mode": args.mode,
        "visuals": args.visuals,
        "max_steps": args.max_steps,
        "model": bundle.path,
        "provider": args.provider,
        "threads": args.threads,
        "out": out,
        "json": args.json or "",
        "resume": str(args.resume).lower(),
    }
    graph = sim_graph({name: str(value) for name, value in arguments.items()})
    view = _view_is_possible() if args.view else False
    with own_domain() as domain:
        print(
            f"{bundle.id}: {facts.instruction} ({suite} {task}), {args.episodes} episode{'s' * (args.episodes > 1)}, "
            f"{args.mode}, {args.visuals} visuals, ROS domain {domain}",
            file=sys.stderr,
            flush=True,
        )
        if not view:
            return run_graph(graph)
        from clad_recorder.view import viewing

        with viewing():
            return run_graph(graph)


def _ros():
    """The only part of this command that needs a built ROS workspace."""
    try:
        from clad_bringup.graph import sim_graph
        from clad_bringup.supervisor import run_graph
        from clad_ros.domain import own_domain
    except ImportError as error:
        raise CladError(
            f"the ROS packages are not on the path ({error})",
            "Run ./clad, or build with colcon and source the workspace",
        ) from error
    return sim_graph, run_graph, own_domain


def _view_is_possible() -> bool:
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return True
    print("--view: there is no display here; each episode's MP4 is written to --out", file=sys.stderr)
    return False
