"""What `clad bag to-lerobot` and `clad bag to-libero` share: options, and the work."""

from __future__ import annotations

import argparse
from pathlib import Path

from clad.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bags(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to create")
    parser.add_argument("--only", choices=("success",), help="leave out episodes that did not end in success")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out what cannot be read instead of stopping, and name it"
    )
    parser.add_argument(
        "--mark-no-ops", action="store_true", help="mark steps at which nothing is done as not worth imitating"
    )


def add_bags(parser: argparse.ArgumentParser) -> None:
    """Which recordings, of which robot, and what a person says of those without /episode."""
    parser.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="recordings, or folders of them")
    parser.add_argument(
        "--robot", metavar="NAME", help="contract of the robot shown (default: the one that the bags name, else libero)"
    )
    parser.add_argument("--instruction", default="", metavar="TEXT", help="the task, for bags that do not say it")
    parser.add_argument("--outcome", default="", choices=("success", "failure"), help="the same for the outcome")


def find_bags(paths: list[Path]) -> list[tuple[Path, Path]]:
    """(bag, the path that it was found at or below). Raises UsageError for demonstrations of another kind."""
    from clad.data.sources import find_paths

    found = [(kind, bag, path) for path in paths for kind, bag in find_paths(path)]
    other = next((bag for kind, bag, _ in found if kind != "rosbag"), None)
    if other is not None:
        raise UsageError(f"{other} is no bag", "Use clad data check, or clad data convert")
    return [(bag, path) for _, bag, path in found]


def convert_bags(args: argparse.Namespace, to: str) -> int:
    from tqdm import tqdm

    from clad.data.convert import Selection, convert
    from clad.data.embedded import robot_of
    from clad.data.rosbag import Told
    from clad.data.sources import episodes_of

    contract = robot_of(args.robot, args.bags)
    sources = [source for bag, path in find_bags(args.bags) for source in episodes_of("rosbag", bag, path)]
    selection = Selection(
        contract,
        only_success=args.only == "success",
        skip_bad=args.skip_bad,
        no_ops=args.mark_no_ops,
        told=Told(instruction=args.instruction, outcome=args.outcome),
    )
    with tqdm(total=len(sources), unit="episode", disable=None) as bar:
        for written, looked in convert(sources, args.out, to, contract, selection):
            bar.update(looked - bar.n)
    for words in selection.left_out:
        print(f"left out  {words}")
    print(f"{written} of {len(sources)} episodes in {args.out}, robot {contract.name} ({contract.hash[:12]})")
    return 0
