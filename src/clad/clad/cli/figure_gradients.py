"""`clad figure gradients`: which pixels a foresight stands on, by integrated gradients (the paper's figure 5)."""

from __future__ import annotations

import argparse
from pathlib import Path

from clad.cli import options
from clad.errors import CladError, UsageError

TARGETS = ("semantic", "proprio", "z_dyn")
BASELINES = {"mean": "the episode's mean picture", "blur": "the picture blurred"}
HELP = "which pixels a foresight stands on, by integrated gradients (needs requirements/figures.txt)"
EXAMPLES = """\
  clad figure gradients runs/x/bags/libero_10-5-0-0                  the default model, a recorded episode
  clad figure gradients data/demos --planner runs/planner --episode demo_7
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="PATH", help="a bag or demonstrations; their first episode is shown")
    parser.add_argument("--episode", default="", metavar="NAME", help="another episode of it, by the end of its key")
    parser.add_argument(
        "--planner",
        default="",
        metavar="RUN|MODEL",
        help="a planner's training run, or a model bundle (default: the first in models/ that sees)",
    )
    parser.add_argument(
        "--target", choices=TARGETS, default="semantic", help="what is explained (default: %(default)s)"
    )
    parser.add_argument(
        "--baseline",
        choices=tuple(BASELINES),
        default="mean",
        help="what the picture is compared with: mean, the episode's mean picture, shows what moved; blur, the picture "
        "blurred, also what stands still (default: %(default)s)",
    )
    parser.add_argument("--columns", type=options.count, default=6, metavar="N", help="instants (default: %(default)s)")
    parser.add_argument(
        "--steps", type=options.count, default=64, metavar="N", help="of the integral's path (default: %(default)s)"
    )
    parser.add_argument(
        "--robot",
        default="",
        metavar="NAME",
        help="contract of the robot shown (default: the one that the planner names)",
    )
    parser.add_argument("--out", default="gradients.png", metavar="FILE", help="PNG (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    import numpy as np
    from tqdm import tqdm

    from clad.contract import load_contract
    from clad.data.sources import find_sources
    from clad.figures import canvas, gradients
    from clad.figures.planners import open_planner
    from clad.runtime.bundle import load_encoder

    out = canvas.png_file(args.out)
    planner = open_planner(args.planner)
    if planner.blind:
        raise CladError(f"{planner.name} is blind: it stands on no pixel", "Give a model that sees")
    contract = load_contract(args.robot or planner.contract_name)
    sources = [s for s in find_sources(args.path) if s.key.endswith(args.episode)]
    if not sources:
        raise UsageError(f"no episode of {args.path} is called {args.episode}", "See: clad data check")
    episode = sources[0].read(contract)
    encoder = load_encoder(planner)
    rows = gradients.moments(episode, planner.horizon, args.columns)
    vision = gradients.torch_vision(encoder, np.stack([episode.images[c][rows[0]] for c in planner.cameras]))
    settings = {"target": args.target, "baseline": args.baseline, "steps": args.steps}
    found = [
        gradients.explain(planner, encoder, vision, episode, contract, row, **settings)
        for row in tqdm(rows, unit="instant", leave=False, disable=None)
    ]
    gap = max(one.gap for one in found)
    title = (
        f"What the {args.target} foresight stands on: {planner.name}\n"
        f"{episode.instruction} ({sources[0].key})\n"
        f"integrated gradients from {BASELINES[args.baseline]}, {args.steps} steps; %: the camera's share; sums are 1 ± {gap:.2g}"
    )
    gradients.draw(found, title, contract.control_period, out)
    print(f"attributions of {len(found)} instants add up to 1 within {gap:.2g} (more --steps: nearer)")
    print(out)
    return 0
