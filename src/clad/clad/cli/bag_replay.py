"""`clad bag replay`: do a recording's foresights and chunks come out again, bit for bit?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from clad.cli.options import add
from clad.cli.outputs import check_json

HELP = "run a recording's observations through the same models again; every foresight and chunk must come out equal"
EXAMPLES = """\
  clad bag replay runs/book                            every bag below a folder; equal, or where they differ first
  clad bag replay my_bag --model ~/old/my-model        the models in a folder of your own

it takes the very model that the recording names, by its checksum. Exit 1 when a lock-step recording differs; in free-run
what reached the planner too late is not in the recording, so a difference is told but is no failure. docs/bags.md
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bags", nargs="+", type=Path, metavar="BAG", help="rosbag2 in MCAP, or a folder with such below it"
    )
    add(
        parser,
        "model",
        "provider",
        "threads",
        "json",
        model={
            "help": "where the recording's model is: a directory, or a name in models/ (default: found by its checksum)"
        },
        json={"help": "write the counts and first differences to this file"},
    )
    parser.add_argument("--robot", metavar="NAME|FILE", help="the robot's contract (default: the one in the recording)")


def run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from tqdm import tqdm

    from clad.bag.recording import find_bags
    from clad.bag.remade import Remade
    from clad.bag.replay import replay

    check_json(args.json)
    found, remade = [], None
    bags = find_bags(args.bags)
    for bag in tqdm(bags, unit="bag", disable=len(bags) < 2):
        where = {"model": args.model, "robot": args.robot, "provider": args.provider, "threads": args.threads}
        remade = Remade.of(bag, **where, like=remade)
        result = replay(bag, remade)
        found.append(result)
        tqdm.write(_words(result))
    repeat = sum(result.repeats for result in found)
    print(f"{repeat} of {len(found)} recordings repeat bit for bit")
    if args.json is not None:
        body = {"recordings": [asdict(result) | {"repeats": result.repeats} for result in found]}
        Path(args.json).write_text(json.dumps(body, indent=1) + "\n")
    return int(any(result.mode == "lockstep" and result.differs for result in found))


def _words(result) -> str:
    counts = {"foresights": result.foresights, "chunks": result.chunks}
    told = ", ".join(f"{count.equal} of {count.n} {name} equal" for name, count in counts.items())
    lines = [f"{result.path}: {told} ({result.model}, {result.mode or 'mode unknown'})"]
    if (first := result.first) is not None:
        apart = "of another length" if first.max_abs is None else f"by at most {first.max_abs:.3g}"
        lines.append(
            f"  first difference: {first.topic}, episode {first.episode}, step {first.step}, {first.field}: "
            f"{first.values} of {first.of} values, {apart}"
        )
    for name, count in counts.items():
        lines += [f"  {n} {name} cannot be made again: {reason}" for reason, n in count.unpaired.items()]
    return "\n".join(lines)
