"""`clad faults`: break the running graph in every way that is foreseen, and measure how soon the robot is safe."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from clad.cli import options
from clad.cli.running import ros_module
from clad.errors import unknown_name

HELP = "inject faults into the running graph; how soon the robot is safe, and whether it comes back"
EXAMPLES = """\
  clad faults                                  every fault, in the simulator, with the default model
  clad faults --only camera_stops --only planner_killed
  clad faults --robot loopback --model NAME    on the arm without physics; the model must be one for that robot
  clad faults --json faults.json               the rows also as JSON

Real nodes in processes of their own, real DDS; a relay in the wire does the harm. A fault counts as passed when the robot
was in the named safe state within 2 control periods and the documented recovery brought it back (docs/faults.md).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--robot", choices=("sim", "loopback", "fake"), default="sim", help="which graph (default: %(default)s)"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="this fault only; may be repeated (default: all)"
    )
    options.add(parser, "model", "json")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when every fault was passed, 1 otherwise."""
    suite, report = ros_module("clad_faults.suite"), ros_module("clad_faults.report")
    from clad.eval.machine import machine, versions

    for name in args.only:
        if name not in suite.names():
            raise unknown_name("fault", name, suite.names())

    def show(row) -> None:
        print(f"{'✓' if row.passed else '✗'} {row.name}: {row.state}; {row.evidence}", file=sys.stderr, flush=True)

    rows = suite.run_alone(args.robot, args.model, args.only, show)
    print(report.table(rows))
    if args.json:
        body = {"schema": 1, "robot": args.robot, "most_periods": report.MOST_PERIODS, "machine": machine()}
        body.update(versions=versions(), rows=[{**asdict(row), "passed": row.passed} for row in rows])
        Path(args.json).write_text(json.dumps(body, indent=1) + "\n")
    failed = [row.name for row in rows if not row.passed]
    print(
        f"{len(failed)} of {len(rows)} not passed: {', '.join(failed)}"
        if failed
        else f"{len(rows)} of {len(rows)} passed"
    )
    return 1 if failed else 0
