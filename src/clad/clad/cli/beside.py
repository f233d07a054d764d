"""The page of `clad watch` beside a graph that a command runs: what `clad sim` and `clad robot` share."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from clad.errors import UsageError


def add_watch(parser: argparse.ArgumentParser) -> None:
    """The switch that shows a graph while it runs."""
    parser.add_argument("--watch", action="store_true", help="show the graph on a page in the browser while it runs")


def watched(args: argparse.Namespace) -> list[Callable[[], AbstractContextManager]]:
    """What runs beside the graph: the page, if it was asked for. Raises as `clad watch` does when there can be none."""
    if not args.watch:
        return []
    from clad.look.serve import require_rerun

    require_rerun()
    if args.security:
        raise UsageError(
            "--watch has no enclave of its own", "Leave out --security, or look at the bags: clad watch BAG"
        )
    return [watching]


@contextmanager
def watching() -> Iterator[None]:
    """`clad watch` beside a graph, in a process of its own in the environment's ROS domain; it ends with the graph."""
    command = [sys.executable, "-m", "clad", "watch"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
