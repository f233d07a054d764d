"""Starting a graph of ROS nodes from a command, in a ROS domain of its own: what `clad sim` and `clad robot` share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace

from clad.errors import CladError, UsageError


def ros_or_refuse() -> SimpleNamespace:
    """The parts that need a built ROS workspace. Raises CladError where there is none."""
    try:
        from clad_bringup.console import Console
        from clad_bringup.graph import robot_graph, sim_graph
        from clad_bringup.supervisor import run_graph
        from clad_ros.domain import own_domain
    except ImportError as error:
        raise CladError(
            f"the ROS packages are not on the path ({error})",
            "Run ./clad, or build with colcon and source the workspace",
        ) from error
    return SimpleNamespace(
        Console=Console, robot_graph=robot_graph, sim_graph=sim_graph, run_graph=run_graph, own_domain=own_domain
    )


def run_here(
    ros: SimpleNamespace,
    graph: list,
    out: Path,
    words: str,
    beside: Callable[[], AbstractContextManager] = nullcontext,
) -> int:
    """Run a graph to its end; returns the exit code.

    words: what is run, for the terminal's first line. beside: entered in the graph's domain, while it runs.
    """
    log = out / "nodes.log"
    with ros.own_domain() as domain, ros.Console(log, "episode_runner") as show:
        print(f"{words}, ROS domain {domain}", file=sys.stderr, flush=True)
        try:
            with beside():
                code = ros.run_graph(graph, show=show)
        except UsageError:
            raise
        except CladError as error:
            raise CladError(str(error), f"All that the nodes said is in {log}") from error
    if code:
        print(f"clad: interrupted; the same command with --out {out} --resume goes on", file=sys.stderr)
    return code
