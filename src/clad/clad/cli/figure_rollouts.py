"""`clad figure rollouts`: episodes of bags as a sheet of pictures, with the error of the foresight underneath."""

from __future__ import annotations

import argparse
from pathlib import Path

from clad.cli import options

HELP = "a sheet of episodes from bags: pictures of both cameras, outcome, error of the foresight"
EXAMPLES = """\
  clad figure rollouts runs/x/bags                           every episode of a run, in rollouts.png
  clad figure rollouts BAG BAG --columns 10 --out sheet.png  two of them, ten moments each
"""
MOST_ROWS = 12  # what fits on a page that can still be read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="recordings, or folders of them")
    parser.add_argument("--columns", type=options.count, default=8, metavar="N", help="moments (default: %(default)s)")
    parser.add_argument("--out", default="rollouts.png", metavar="FILE", help="PNG (default: %(default)s)")
    parser.add_argument(
        "--robot", default="", metavar="NAME", help="contract of the robot shown (default: the one that each bag names)"
    )


def run(args: argparse.Namespace) -> int:
    from itertools import islice

    from tqdm import tqdm

    from clad.bag.recording import find_bags
    from clad.figures import canvas, rollouts

    out = canvas.png_file(args.out)
    bags = find_bags(args.bags)
    episodes = rollouts.read_rollouts(bags, args.columns, args.robot)
    shown = list(tqdm(islice(episodes, MOST_ROWS), unit="episode", leave=False, disable=None))
    rollouts.draw(shown, out)
    if (left := len(bags) - len(shown)) > 0:
        print(f"the first {len(shown)} episodes; {left} more bags are not shown")
    print(out)
    return 0
