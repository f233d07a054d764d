"""`clad figure joints`: joints foreseen at t+tau against joints measured, over an episode of a bag."""

from __future__ import annotations

import argparse
from pathlib import Path

from clad.cli import options
from clad.errors import UsageError

HELP = "joints as foreseen tau steps ahead, and as they came, over an episode of a bag"
EXAMPLES = """\
  clad figure joints runs/x/bags/libero_10-5-0-0               joints.png
  clad figure joints BAG --episode 3 --out figures/joints.png  of a recording of several episodes, the one numbered 3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, metavar="BAG", help="a recording with /latent_foresight")
    parser.add_argument(
        "--episode", type=options.index, default=None, metavar="N", help="its number in /episode (default: the first)"
    )
    parser.add_argument("--out", default="joints.png", metavar="FILE", help="PNG (default: %(default)s)")
    parser.add_argument(
        "--robot", default="", metavar="NAME", help="contract of the robot shown (default: the one that the bag names)"
    )


def run(args: argparse.Namespace) -> int:
    from clad.figures import canvas, joints
    from clad.figures.episodes import read_episodes

    out = canvas.png_file(args.out)
    episodes = {episode.figures.episode: episode for episode in read_episodes(args.bag, args.robot)}
    number = next(iter(episodes)) if args.episode is None else args.episode
    if number not in episodes:
        raise UsageError(
            f"{args.bag} has no foresights of episode {number}", f"It has those of {', '.join(map(str, episodes))}"
        )
    joints.draw(episodes[number], out)
    print(out)
    return 0
