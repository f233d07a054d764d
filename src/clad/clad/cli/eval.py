"""`clad eval`: run a model on LIBERO in this process, without ROS."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from clad.cli import options
from clad.cli.outputs import RESULT, results_folder
from clad.errors import UsageError
from clad.eval.episodes import FIRST_VALIDATION_SEED, evaluation_episodes, validation_episodes

HELP = "success rate of a model on LIBERO, in this process, without ROS"
EXAMPLES = """\
  clad eval                                            one episode of the task that the model was trained on
  clad eval --episodes 50 --workers 2                  the benchmark's 50 evaluation states
  clad eval --episodes 50 --out runs/long5 --resume    go on after an interruption
  clad eval --model models/NAME --scenes sampled       a validation scene, for choosing a checkpoint
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add(
        parser,
        *("model", "suite", "task", "init", "episodes", "seed", "protocol", "visuals", "max-steps"),
        *("provider", "threads", "out", "json", "resume"),
    )
    parser.add_argument(
        "--scenes",
        choices=("evaluation", "sampled"),
        default="evaluation",
        help="evaluation: the benchmark's states; sampled: scenes of their own, from --seed-base on (default: evaluation)",
    )
    parser.add_argument(
        "--seed-base",
        type=options.index,
        default=FIRST_VALIDATION_SEED,
        metavar="N",
        help=f"seed of the first sampled scene, at least {FIRST_VALIDATION_SEED} (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=options.count,
        default=1,
        metavar="N",
        help="processes that run episodes; each takes up to 2.5 GB (default: %(default)s)",
    )
    parser.add_argument(
        "--blind",
        action="store_true",
        help="zero the model's vision: the control that it uses its eyes (that a task needs eyes: clad train --blind)",
    )
    parser.add_argument(
        "--video", action="store_true", help="write an MP4 an episode; renders every step, so it is slow"
    )


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clad.eval.result import EvalResult, read_result
    from clad.eval.runner import Settings, run_all
    from clad.eval.table import episode_table, summary
    from clad.runtime.bundle import load_bundle
    from clad.runtime.catalogue import trained_task
    from clad.sim.rollout import SAMPLED
    from clad.sim.suites import task_info

    bundle = load_bundle(args.model)
    bundle = bundle.blinded() if args.blind else bundle
    suite, task = trained_task(bundle.path, args.suite)
    task = task if args.task is None else args.task
    facts = task_info(suite, task)
    sampled = args.scenes == "sampled"
    if sampled and (args.seed or args.init):
        raise UsageError("--seed and --init are about evaluation states", "With --scenes sampled give --seed-base")
    if sampled:
        specs = validation_episodes(suite, task, episodes=args.episodes, seed=args.seed_base)
    else:
        specs = evaluation_episodes(
            suite, task, episodes=args.episodes, init=args.init, seed=args.seed, n_init_states=facts.n_init_states
        )
    out = results_folder("eval", out=args.out, resume=args.resume, json=args.json)
    file = out / RESULT
    result = EvalResult(
        suite=suite,
        protocol=SAMPLED if sampled else args.protocol,
        mode="lockstep",
        visuals=args.visuals,
        model={"name": bundle.name, "sha256": bundle.sha256},
    )
    if file.exists():
        result.merge(read_result(file))
        result.check_limit(args.max_steps or facts.max_steps)
    todo = [spec for spec in specs if not result.has(spec)]
    settings = Settings(
        model=str(bundle.path),
        suite=suite,
        task=task,
        protocol=result.protocol,
        visuals=args.visuals,
        provider=args.provider,
        threads=args.threads,
        max_steps=args.max_steps,
        out=out,
        video=args.video,
        blind=args.blind,
    )
    print(
        f"{bundle.id}: {facts.instruction} ({suite} {task}), {len(todo)} of {len(specs)} episodes to run",
        file=sys.stderr,
    )
    started, before = time.perf_counter(), result.wall_s
    with tqdm(total=len(specs), initial=len(specs) - len(todo), unit="episode", smoothing=0) as progress:
        for record in run_all(settings, todo, args.workers):
            result.add(record)
            result.wall_s = before + time.perf_counter() - started
            result.write(file)
            progress.set_postfix_str(f"success {result.successes}/{len(result.episodes)}")
            progress.update()
    print(f"{episode_table(result.episodes)}\n{summary(result)}\n{file}")
    result.write(file)
    if args.json:
        result.write(Path(args.json))
    return 0
