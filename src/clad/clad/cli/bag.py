"""`clad bag …`: what a recording says, whether it repeats, and what else can be made of it."""

from __future__ import annotations

import argparse

from clad.cli.groups import add_group

HELP = "look into recordings: report, replay, video, training data"
EXAMPLES = """\
  clad bag report runs/book --out report               every figure of a folder of recordings, and a page with plots
  clad bag COMMAND --help                              all options of one of them

recordings are rosbag2 in MCAP, ours or those of `ros2 bag record`: docs/bags.md
"""
COMMANDS: dict[str, str] = {
    "check": "clad.cli.bag_check",
    "to-lerobot": "clad.cli.bag_to_lerobot",
    "to-libero": "clad.cli.bag_to_libero",
    "report": "clad.cli.bag_report",
    "replay": "clad.cli.bag_replay",
    "video": "clad.cli.bag_video",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_group(parser, COMMANDS)


def run(args: argparse.Namespace) -> int:
    return args.run(args)
