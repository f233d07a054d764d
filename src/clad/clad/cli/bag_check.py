"""`clad bag check`: does a recording satisfy the contract, and what is it good for?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from clad.cli import bag_convert, options
from clad.errors import CladError

if TYPE_CHECKING:
    from clad.bag.check import BagCheck

HELP = "say all that a recording lacks for the contract, and what it is good for"
EXAMPLES = """\
  clad bag check runs/x/bags                       ours
  clad bag check rosbag2_2026_05_04 --robot ur     of `ros2 bag record`
  clad bag check teleop --for report               exit 0 if it is good for a report
  clad bag check runs/x/bags --json check.json     everything, also rates and gaps

rates and gaps are of header time, within episodes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    bag_convert.add_bags(parser)
    parser.add_argument(
        "--for",
        dest="use",
        choices=("report", "replay", "training"),
        default="training",
        help="exit 1 unless every bag is good for this (default: %(default)s)",
    )
    options.add(parser, "json")


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clad.bag.check import check_bag
    from clad.data.embedded import robot_of
    from clad.data.rosbag import Told

    contract = robot_of(args.robot, args.bags)
    told = Told(instruction=args.instruction, outcome=args.outcome)
    checks = []
    for bag, _ in tqdm(bag_convert.find_bags(args.bags), unit="bag", leave=False, disable=None):
        checks.append(check_bag(bag, contract, told))
        tqdm.write(_page(checks[-1]))
    if args.json:
        Path(args.json).write_text(json.dumps({"schema": 1, "bags": [c.to_dict() for c in checks]}, indent=1) + "\n")
    bad = [check for check in checks if not check.good_for(args.use)]
    if bad:
        raise CladError(
            f"{len(bad)} of {len(checks)} bags are not good for {args.use} as robot {contract.name}",
            "Each says above what rules it out (docs/bags.md)",
        )
    print(f"{len(checks)} bag{'s' * (len(checks) != 1)} good for {args.use} as robot {contract.name}")
    return 0


def _page(check: BagCheck) -> str:
    from clad.bag.check import USES

    imitable = "" if check.imitable is None else f", {check.imitable} to imitate"
    lines = [
        str(check.path),
        f"  {check.recorder}, {check.files} file{'s' * (check.files != 1)}, {'whole' if check.whole else 'cut off'}; "
        f"{check.episodes} episode{'s' * (check.episodes != 1)}, {check.steps} steps{imitable}",
        f"  {'topic':22} {'type':34} {'messages':>8} {'Hz':>7} {'longest gap s':>13}",
    ]
    for facts in check.topics:
        rate = "-" if facts.rate is None else f"{facts.rate:.1f}"
        gap = "-" if facts.longest_gap is None else f"{facts.longest_gap:.3f}"
        lines.append(f"  {facts.topic:22} {facts.type:34} {facts.messages:8d} {rate:>7} {gap:>13}")
    lines += [f"  {'wrong' if finding.spoils else 'note':9} {finding}" for finding in check.findings]
    for use in USES:
        against = [str(finding) for finding in check.findings if use in finding.spoils]
        more = f" (and {len(against) - 1} more)" if len(against) > 1 else ""
        lines.append(f"  {use:9} {'no: ' + against[0] + more if against else 'yes'}")
    return "\n".join(lines)
