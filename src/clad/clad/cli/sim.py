"""`clad sim`: the whole graph on real LIBERO, from reset to result, with a bag and a video an episode."""

from __future__ import annotations

import argparse
import os
import sys

from clad.cli import options
from clad.cli.beside import add_watch, watched
from clad.cli.outputs import results_folder
from clad.cli.running import ros_or_refuse, run_here

HELP = "a trained model solves a LIBERO task through ROS 2 nodes; bag, video and result are left behind"
EXAMPLES = """\
  clad sim                                       one episode of the task that the model was trained on
  clad sim --episodes 50 --out runs/long5        the benchmark's 50 evaluation states
  clad sim --episodes 50 --out runs/long5 --resume
                                                 go on after an interruption
  clad sim --mode free-run --visuals fast        simulated time follows the wall clock
  clad sim --mode free-run --render decoupled    full visuals in real time: pictures are late, steps are not
  clad sim --suite libero_object --task 0 --init 3 --view
  clad sim --visuals fast --watch                a page in the browser: cameras, foresight, plans, rates, outcomes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add(
        parser,
        *("suite", "task", "init", "episodes", "seed", "protocol", "mode", "visuals", "model", "max-steps"),
        *("render", "execution", "provider", "precision", "fused", "sample-steps", "warm-start", "threads", "realtime"),
        *("out", "json", "resume", "security", "keystore"),
    )
    parser.add_argument("--view", action="store_true", help="show the cameras in a window while the robot moves")
    add_watch(parser)


def run(args: argparse.Namespace) -> int:
    from clad.eval.episodes import evaluation_episodes
    from clad.runtime.bundle import load_bundle
    from clad.runtime.catalogue import trained_task
    from clad.sim.suites import task_info

    beside = watched(args)
    bundle = load_bundle(args.model)
    suite, task = trained_task(bundle.path, args.suite)
    task = task if args.task is None else args.task
    facts = task_info(suite, task)
    evaluation_episodes(  # refuses an evaluation state that does not exist
        suite, task, episodes=args.episodes, init=args.init, seed=args.seed, n_init_states=facts.n_init_states
    )
    out = results_folder("sim", out=args.out, resume=args.resume, json=args.json)
    arguments = {
        "suite": suite,
        "task": task,
        "init": args.init,
        "episodes": args.episodes,
        "seed": args.seed,
        "protocol": args.protocol,
        "mode": args.mode,
        "visuals": args.visuals,
        "render": args.render,
        "execution": args.execution,
        "max_steps": args.max_steps,
        "model": bundle.path,
        "provider": args.provider,
        "precision": args.precision,
        "fused": str(args.fused).lower(),
        "sample_steps": args.sample_steps,
        "warm_start": str(args.warm_start).lower(),
        "threads": args.threads,
        "realtime": args.realtime,
        "out": out,
        "json": args.json or "",
        "resume": str(args.resume).lower(),
        "security": str(args.security).lower(),
        "keystore": args.keystore,
    }
    ros = ros_or_refuse()
    graph = ros.sim_graph({name: str(value) for name, value in arguments.items()})
    if args.view and _view_is_possible():
        beside.append(_viewing)
    words = (
        f"{bundle.id}: {facts.instruction} ({suite} {task}), {args.episodes} episode{'s' * (args.episodes > 1)}, "
        f"{args.protocol} protocol, {args.mode}, {args.visuals} visuals"
    )
    if (suite, task) not in {(trained.suite, trained.task) for trained in bundle.tasks}:
        words += "; the model was not trained on this task"
    return run_here(ros, graph, out, words, beside=beside)


def _viewing():
    from clad_recorder.view import viewing

    return viewing()


def _view_is_possible() -> bool:
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return True
    print("--view: there is no display here; each episode's MP4 is written to --out", file=sys.stderr)
    return False
