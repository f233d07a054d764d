"""`clad eval`: run a model on LIBERO in this process, without ROS; join and compare results."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from clad.cli import options
from clad.cli.outputs import RESULT, make_writable, results_folder
from clad.errors import UsageError
from clad.eval.episodes import FIRST_VALIDATION_SEED, EpisodeSpec, evaluation_episodes, validation_episodes
from clad.sim.perturbations import Perturbations, describe

HELP = "success rate of a model on LIBERO, in this process, without ROS"
EXAMPLES = """\
  clad eval                                            one episode of the task that the model was trained on
  clad eval --episodes 50 --workers 2                  the benchmark's 50 evaluation states
  clad eval --task all --episodes 50 --out runs/ten    every task of the suite, 50 episodes each
  clad eval --task all --episodes 50 --out runs/ten --resume
                                                       go on after an interruption: nothing is lost or run twice
  clad eval --model models/NAME --scenes sampled       a validation scene, for choosing a checkpoint
  clad eval --task all --episodes 50 --ray HOST:6379 --workers 16
                                                       on a Ray cluster; pip install -r requirements/ray.txt
  clad eval --perturb light --perturb delay=0.1 --episodes 50 --out runs/late
  clad eval merge runs/a runs/b --out runs/both        rows of one experiment from several machines
  clad eval table runs/book runs/late                  runs compared, as Markdown

perturbations, with the level when none is given:
""" + describe()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="merge|table")
    merge = actions.add_parser("merge", help="join results of one experiment; refuses rows that disagree")
    table = actions.add_parser("table", help="compare results: a Markdown table, a row a result, a column a task")
    for command in (merge, table):
        command.add_argument("results", nargs="+", type=Path, metavar="RESULT", help="result.json, or its folder")
    merge.add_argument("--out", required=True, metavar="DIR", help="folder for the joined result.json; a new one")
    options.add(
        parser,
        *("model", "suite", "task", "init", "episodes", "seed", "protocol", "visuals", "max-steps"),
        *("provider", "precision", "fused", "sample-steps", "warm-start", "threads", "out", "json", "resume"),
        task={
            "type": options.tasks,
            "metavar": "N,N|all",
            "help": "tasks of the suite (default: the first that the model was trained on)",
        },
        episodes={"help": "how many episodes of each task"},
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
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="run the --workers on the Ray cluster there; without ADDRESS, on a Ray of this machine alone",
    )
    parser.add_argument(
        "--perturb",
        action="append",
        default=[],
        metavar="NAME[=LEVEL]",
        help="make it harder, drawn anew for every episode by its seed; may repeat; see below",
    )
    options.add(
        parser,
        "execution",
        execution={"default": "", "help": "with --perturb delay: how late chunks are joined (default: hold)"},
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
    return {None: _run, "merge": _merge, "table": _table}[args.action](args)


def _run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clad.eval.result import EvalResult, read_result
    from clad.eval.table import episode_table, summary
    from clad.runtime.bundle import load_bundle
    from clad.runtime.catalogue import trained_task
    from clad.sim.rollout import SAMPLED
    from clad.sim.suites import n_tasks, task_info

    bundle = load_bundle(args.model)
    bundle = bundle.blinded() if args.blind else bundle
    perturbations = Perturbations.parse(args.perturb)
    if args.execution and not perturbations.delay:
        raise UsageError("--execution is about chunks that act late", "Add --perturb delay")
    if args.ray and args.video:
        raise UsageError("--video with --ray would leave videos on other machines", "Leave one out")
    suite, task = trained_task(bundle.path, args.suite)
    tasks = range(n_tasks(suite)) if args.task == options.ALL else args.task or (task,)
    specs = [spec for task in tasks for spec in _episodes(args, suite, task)]
    out = results_folder("eval", out=args.out, resume=args.resume, json=args.json)
    file = out / RESULT
    result = EvalResult(
        suite=suite,
        protocol=SAMPLED if args.scenes == "sampled" else args.protocol,
        mode="lockstep",
        visuals=args.visuals,
        model={"name": bundle.name, "sha256": bundle.sha256},
        precision=args.precision,
        fused=args.fused,
        sample_steps=args.sample_steps,
        warm_start=args.warm_start,
        perturbations=perturbations.to_dict(),
        execution=(args.execution or "hold") if perturbations.delay else "sync",
    )
    if file.exists():
        result.merge(read_result(file))
        result.check_limit(args.max_steps or task_info(suite, tasks[0]).max_steps)
    todo = [spec for spec in specs if not result.has(spec)]
    names = task_info(suite, tasks[0]).instruction if len(tasks) == 1 else f"{len(tasks)} tasks"
    where = f"{suite} {','.join(map(str, tasks))}"
    print(f"{bundle.id}: {names} ({where}), {len(todo)} of {len(specs)} episodes to run", file=sys.stderr)
    started, before = time.perf_counter(), result.wall_s
    with tqdm(total=len(specs), initial=len(specs) - len(todo), unit="episode", smoothing=0) as progress:
        for record in _records(args, bundle.path, result, perturbations, out, todo):
            result.add(record)
            result.wall_s = before + time.perf_counter() - started
            result.write(file)
            progress.set_postfix_str(f"task {record.task}, success {result.successes}/{len(result.episodes)}")
            progress.update()
    print(f"{episode_table(result.episodes)}\n{summary(result)}\n{file}")
    result.write(file)
    if args.json:
        result.write(Path(args.json))
    return 0


def _episodes(args: argparse.Namespace, suite: str, task: int) -> list[EpisodeSpec]:
    from clad.sim.suites import task_info

    n_states = task_info(suite, task).n_init_states
    if args.scenes == "sampled":
        if args.seed or args.init:
            raise UsageError("--seed and --init are about evaluation states", "With --scenes sampled give --seed-base")
        return validation_episodes(suite, task, episodes=args.episodes, seed=args.seed_base)
    return evaluation_episodes(
        suite, task, episodes=args.episodes, init=args.init, seed=args.seed, n_init_states=n_states
    )


def _records(args, model: Path, result, perturbations: Perturbations, out: Path, todo: list[EpisodeSpec]) -> Iterator:
    from clad.eval.runner import Settings, run_all

    settings = Settings(
        model=str(model.absolute()),
        protocol=result.protocol,
        visuals=args.visuals,
        provider=args.provider,
        threads=args.threads,
        max_steps=args.max_steps,
        out=out,
        video=args.video,
        blind=args.blind,
        precision=args.precision,
        fused=args.fused,
        sample_steps=args.sample_steps,
        warm_start=args.warm_start,
        perturbations=perturbations,
        execution=args.execution or "hold",
    )
    if args.ray is None or not todo:
        return run_all(settings, todo, args.workers)
    from clad.eval.ray_pool import run_on_ray

    return run_on_ray(settings, todo, args.workers, args.ray)


def _read(path: Path):
    from clad.eval.result import read_result

    return read_result(path / RESULT if path.is_dir() else path)


def _merge(args: argparse.Namespace) -> int:
    from clad.eval.table import summary

    file = Path(args.out) / RESULT
    if file.exists():
        raise UsageError(f"{file} exists already", "Give another --out")
    merged, *others = map(_read, args.results)
    for other in others:
        merged.merge(other)
    make_writable(file.parent, "--out")
    merged.write(file)
    print(f"{summary(merged)}\n{file}")
    return 0


def _table(args: argparse.Namespace) -> int:
    from clad.eval.table import comparison, run_label

    results = [_read(path) for path in args.results]
    print(comparison([(run_label(result), result) for result in results]))
    return 0
