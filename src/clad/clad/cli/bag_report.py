"""`clad bag report`: every figure of one or many recordings, and of one set against another."""

from __future__ import annotations

import argparse
from pathlib import Path

from clad.cli.outputs import check_json, make_writable
from clad.errors import UsageError

HELP = "figures of recordings: success, motion, latency, foresight, holds; of two sets, a comparison"
EXAMPLES = """\
  clad bag report runs/book                            every bag below a folder: a line each, a line a task
  clad bag report runs/book --out report               and report.html, report.json, report.csv; the page opens offline
  clad bag report runs/rtc --against runs/hold --out report
                                                       episodes of equal task, state and seed are paired and tested
  clad bag report my_recording --robot mine.yaml       a recording of `ros2 bag record`, of your own robot

a recording that was cut off is reported up to the cut; one that lacks a topic, by what the others say.
docs/bags.md; each figure is defined in docs/metrics.md
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bags", nargs="+", type=Path, metavar="BAG", help="rosbag2 in MCAP, or a folder with such below it"
    )
    parser.add_argument("--against", nargs="+", type=Path, default=[], metavar="BAG", help="the set to compare with")
    parser.add_argument(
        "--robot", metavar="NAME|FILE", help="the robot's contract (default: the one that a recording names or shows)"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for report.html, report.json and report.csv")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON to this file")
    parser.add_argument("--csv", metavar="FILE", help="write a line an episode to this file")


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clad.bag.recording import find_bags
    from clad.contract import load_contract
    from clad.report.report import make_report, write_csv, write_json

    check_json(args.json)
    if args.csv is not None:
        make_writable(Path(args.csv).absolute().parent, "--csv")
    if args.out is not None:
        make_writable(Path(args.out), "--out")
    contract = None if args.robot is None else load_contract(args.robot)
    bags, against = find_bags(args.bags), find_bags(args.against)
    if both := set(bags) & set(against):
        raise UsageError(f"{min(both)} is in both sets", "Give each bag once")
    report = make_report(
        bags,
        against,
        labels=_labels(args.bags, args.against),
        contract=contract,
        progress=lambda wanted: tqdm(wanted, desc="bags", unit="bag", disable=len(wanted) < 2),
    )
    print(_text(report))
    if args.json is not None:
        write_json(report, Path(args.json))
    if args.csv is not None:
        write_csv(report, Path(args.csv))
    if args.out is not None:
        from clad.report.html import render

        out = Path(args.out)
        write_json(report, out / "report.json")
        write_csv(report, out / "report.csv")
        (out / "report.html").write_text(render(report))
        print(f"report  {out / 'report.html'}")
    return 0


def _text(report) -> str:
    """What the terminal shows."""
    from clad.report.tables import by_condition, by_task, episode_text, group, task_text
    from clad.report.words import comparison_text

    lines = []
    for one in report.sets:
        if len(report.sets) > 1:
            lines += ["", f"{one.label}:"]
        tasks = by_task(one.figures)
        alone = len(tasks) == 1 or len(by_condition(one.figures)) > 1
        total = [] if alone else [group(one.figures, of_one_task=False)]
        lines += [episode_text(one.recordings), "", task_text([*tasks, *total])]
        equal, told = one.live
        if told:
            lines.append(f"figures told live equal those of the bag, bit for bit: {equal} of {told} episodes")
        lines += [f"  ! {bag + ': ' if bag else ''}{problem}" for bag, problem in one.problems]
    if report.comparison is not None:
        lines += ["", comparison_text(report.comparison, [one.label for one in report.sets])]
    return "\n".join(lines).lstrip("\n")


def _labels(bags: list[Path], against: list[Path]) -> tuple[str, str]:
    """Names for the two sets: of their folders."""
    ours, others = (", ".join(path.resolve().name for path in paths) for paths in (bags, against))
    return (ours, others) if ours != others else (str(bags[0]), str(against[0]))
