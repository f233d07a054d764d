"""`clad bag to-lerobot`: recorded episodes as a LeRobotDataset v3."""

from __future__ import annotations

import argparse

from clad.cli import bag_convert

HELP = "make a LeRobotDataset v3 of recorded episodes, contract and outcomes included"
EXAMPLES = """\
  clad bag to-lerobot runs/x/bags --out data/lr
  clad bag to-lerobot runs/x/bags --out data/lr --only success        failed episodes are left out, not marked
  clad bag to-lerobot teleop --out data/lr --instruction 'stack the cups' --outcome success
  clad encode --demos data/lr                                      and from there into training

which steps are worth imitating, corrections included: docs/bags.md
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    bag_convert.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    return bag_convert.convert_bags(args, "lerobot")
