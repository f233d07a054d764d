"""`clad train planner|policy`: the two stages of training."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from clad.cli import options

HELP = "train CLaD on encoded demonstrations: the planner first, then the policy on it"
EXAMPLES = """\
  clad train planner                                      data/features into runs/planner
  clad train policy                                       on runs/planner, into runs/policy
  clad train policy --variant policy-only --features data/features --out runs/policy-only
  clad train planner --variant lbp --out runs/lbp         the baseline; docs/variants.md lists all variants
  clad train policy --variant lbp --planner runs/lbp --out runs/lbp-policy
  clad train planner --config paper --device cuda --processes 4    on four GPUs of this machine
  accelerate launch --num_machines 2 ... -m clad train planner --config paper --device cuda
                                                          on several machines (docs/training.md)
"""
PRESETS = "small, paper or a YAML file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    stages = parser.add_subparsers(dest="stage", required=True, metavar="planner|policy")
    planner = stages.add_parser("planner", help="stage 1, latent dynamics", allow_abbrev=False)
    planner.add_argument(
        "--features",
        type=Path,
        default=Path("data/features"),
        metavar="DIR",
        help="feature cache from `clad encode` (default: %(default)s)",
    )
    _common(planner, "runs/planner")
    policy = stages.add_parser("policy", help="stage 2, diffusion policy on the frozen planner", allow_abbrev=False)
    policy.add_argument(
        "--planner",
        type=Path,
        default=Path("runs/planner"),
        metavar="RUN",
        help="stage 1 run; unused with --variant policy-only (default: %(default)s)",
    )
    policy.add_argument(
        "--features",
        type=Path,
        default=None,
        metavar="DIR",
        help="feature cache (default: the one that the planner was trained on)",
    )
    _common(policy, "runs/policy")


def _common(parser: argparse.ArgumentParser, out: str) -> None:
    parser.add_argument("--config", default="small", metavar="NAME", help=f"{PRESETS} (default: %(default)s)")
    options.add(parser, "variant", "set")
    parser.add_argument(
        "--steps", type=options.count, default=None, metavar="N", help="optimiser steps (default: as configured)"
    )
    parser.add_argument(
        "--blind", action="store_true", help="zero all vision: the control that a task needs eyes at all"
    )
    parser.add_argument(
        "--max-minutes", type=float, default=0.0, metavar="M", help="stop after M minutes; --resume goes on"
    )
    parser.add_argument(
        "--device", default="cpu", metavar="NAME", help="torch device, e.g. cuda (default: %(default)s)"
    )
    parser.add_argument(
        "--processes",
        type=options.count,
        default=1,
        metavar="N",
        help="processes on this machine that share each batch, one a GPU with --device cuda (default: %(default)s)",
    )
    options.add(
        parser,
        "seed",
        "threads",
        "out",
        "resume",
        out={"default": out, "help": "the run: weights, metrics and what --resume needs"},
        seed={"help": "of weights and batches"},
        threads={"help": "CPU threads for training"},
    )


def run(args: argparse.Namespace) -> int:
    # libgomp's threads spin while they wait and starve other processes, unless told before torch starts
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from clad.errors import UsageError
    from clad.model.config import load_config
    from clad.train import team as teams

    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(
            f"device '{args.device}' is not here", "Use --device cpu, or a CUDA build of torch on a GPU machine"
        )
    section = f"train_{args.stage}"
    changes = [*args.set, *([f"{section}.steps={args.steps}"] if args.steps else [])]
    config = load_config(args.config, changes, variants=args.variant)
    if args.processes > 1 and "WORLD_SIZE" not in os.environ:
        teams.Team(size=args.processes).require_parts(getattr(config, section).batch)
        return teams.launch([sys.executable, "-m", "clad", *sys.argv[1:]], args.processes, args.threads)
    team = teams.join(args.device)
    torch.set_num_threads(args.threads)
    common = dict(seed=args.seed, blind=args.blind, resume=args.resume, max_minutes=args.max_minutes, team=team)
    if args.stage == "planner":
        from clad.train.planner import train_planner

        result = train_planner(args.features, Path(args.out), config, **common)
    else:
        from clad.train.policy import require_settings, train_policy

        if config.policy.foresight != "none":
            require_settings(args.planner, config, load_config(args.config))
        result = train_policy(args.features, args.planner, Path(args.out), config, **common)
    if result:
        team.say(f"weights in {args.out}")
    teams.leave()
    return 0
