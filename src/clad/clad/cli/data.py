"""`clad data`: demonstrations of any kind, looked over, turned into another kind, or described on a page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from clad.cli import options
from clad.errors import CladError

HELP = "check, convert or describe demonstrations (LIBERO HDF5, LeRobot v3, rosbag2)"
EXAMPLES = """\
  clad data check data/demos                        counts, lengths, tasks and everything that is wrong
  clad data check runs/x/bags --json report.json    the same of recorded episodes, also as JSON
  clad data check data/demos --safety               also: would the robot's safety filter have stopped any of it?
  clad data card data/demos --out data/card         a page: what each task has, and pictures of it
  clad data convert data/demos data/lr --to lerobot a LeRobotDataset v3
  clad data convert data/lr data/back --to libero   one LIBERO HDF5 file a task

kinds, fields, units and rules: docs/data.md
"""
SHOWN = 20  # problems printed; --json has them all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", required=True, metavar="check|convert|card")
    check = commands.add_parser("check", help="look over every episode at or below a path")
    check.add_argument("path", type=Path, metavar="PATH", help="a file, dataset or bag, or a folder of them")
    check.add_argument(
        "--safety",
        action="store_true",
        help="replay every good episode through the robot's safety filter; a stop is a fault",
    )
    options.add(check, "json")
    convert = commands.add_parser("convert", help="write every episode as another kind")
    convert.add_argument("source", type=Path, metavar="SRC", help="a file, dataset or bag, or a folder of them")
    convert.add_argument("target", type=Path, metavar="DST", help="folder to create")
    convert.add_argument("--to", required=True, choices=("lerobot", "libero"), help="kind to write")
    card = commands.add_parser("card", help="write a data card: a table of the tasks and a sheet of pictures")
    card.add_argument(
        "paths", type=Path, nargs="+", metavar="DEMOS", help="files, datasets or bags, or folders of them"
    )
    card.add_argument("--out", type=Path, default=Path("data/card"), metavar="DIR", help="default: %(default)s")
    for command in (check, convert, card):
        command.add_argument(
            "--robot",
            metavar="NAME",
            help="contract of the robot shown (default: the one that the data hold, else libero)",
        )


def run(args: argparse.Namespace) -> int:
    return {"check": _check, "convert": _convert, "card": _card}[args.action](args)


def _check(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clad.data.embedded import robot_of
    from clad.data.survey import survey

    result = None
    contract = robot_of(args.robot, [args.path])
    looks = survey(args.path, contract, safety=args.safety)
    for result in tqdm(looks, unit="demo", leave=False, disable=None):
        pass
    body = result.to_dict()
    if args.json:
        Path(args.json).write_text(json.dumps(body, indent=1) + "\n")
    kinds = {kind: sum(s["kind"] == kind for s in body["sources"]) for kind in {s["kind"] for s in body["sources"]}}
    length, steps = body["length"], body["steps"]
    print(f"{args.path}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    print(f"episodes  {body['episodes']}, {length['min']} to {length['max']} steps (median {length['median']:g})")
    print(f"steps     {steps}, {body['imitable_steps']} to imitate, {body['steps_with_images']} with images")
    for camera, sizes in body["cameras"].items():
        print(f"camera    {camera} " + ", ".join(f"{width}x{height}" for height, width in sizes))
    for task in body["tasks"]:
        print(f"task      {task['episodes']:4d} episodes, {task['steps']:6d} steps  {task['instruction']}")
    if safety := body["safety"]:
        print(
            f"safety    {safety['stopped']} of {safety['steps']} steps stopped, {safety['clamped']} clamped, "
            f"{safety['episodes_stopped']} of {safety['episodes']} episodes stopped"
        )
        for reason, count in sorted(safety["reasons"].items()):
            print(f"safety    {reason} at {count} steps")
    for problem in result.problems[:SHOWN]:
        print(f"wrong     {problem}")
    if found := len(result.problems):
        more = f", {found - SHOWN} of them not shown: see --json" if found > SHOWN else ""
        raise CladError(f"{found} problem{'s' * (found > 1)} in {args.path}{more}", "Mend or remove what is named")
    if body["safety"] and body["safety"]["stopped"]:
        raise CladError(
            f"the safety filter of {contract.name} would have stopped {body['safety']['episodes_stopped']} of these episodes",
            "See what they do there, and the contract's limits (docs/safety.md)",
        )
    print("nothing wrong")
    return 0


def _convert(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clad.data.convert import convert
    from clad.data.embedded import robot_of
    from clad.data.sources import find_sources

    contract, sources = robot_of(args.robot, [args.source]), find_sources(args.source)
    with tqdm(total=len(sources), unit="demo", disable=None) as bar:
        for done, looked in convert(sources, args.target, args.to, contract):
            bar.update(looked - bar.n)
    print(f"{done} episodes in {args.target}")
    return 0


def _card(args: argparse.Namespace) -> int:
    from PIL import Image
    from tqdm import tqdm

    from clad.cli.outputs import make_writable
    from clad.data.card import PAGE, SHEET, contact_sheet, markdown, survey_tasks
    from clad.data.embedded import robot_of

    make_writable(args.out, "--out")
    with tqdm(unit="demo", disable=None) as bar:
        for done, total, tasks in survey_tasks(args.paths, robot_of(args.robot, args.paths)):
            bar.total = total
            bar.update(done - bar.n)
    Image.fromarray(contact_sheet(tasks)).save(args.out / SHEET)
    page = markdown(tasks)
    (args.out / PAGE).write_text(page)
    print(f"{page}\n{args.out / PAGE}")
    return 0
