"""Starting a graph of ROS nodes from a command, in a ROS domain of its own: what `clad sim` and `clad robot` share."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import ModuleType, SimpleNamespace

from clad.errors import CladError, UsageError


def ros_module(name: str) -> ModuleType:
    """A module of the ROS workspace. The library has no ROS in it: commands find what needs some by name, here only.

    Raises CladError where no workspace is built.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CladError(
            f"the ROS packages are not on the path ({error})",
            "Run ./clad, or build with colcon and source the workspace",
        ) from error


def ros_or_refuse() -> SimpleNamespace:
    """What it takes to run a graph. Raises CladError where no ROS workspace is built."""
    graph = ros_module("clad_bringup.graph")
    return SimpleNamespace(
        Console=ros_module("clad_bringup.console").Console,
        robot_graph=graph.robot_graph,
        sim_graph=graph.sim_graph,
        run_graph=ros_module("clad_bringup.supervisor").run_graph,
        own_domain=ros_module("clad_ros.domain").own_domain,
    )


def run_here(
    ros: SimpleNamespace,
    graph: list,
    out: Path,
    words: str,
    beside: Sequence[Callable[[], AbstractContextManager]] = (),
) -> int:
    """Run a graph to its end; returns the exit code.

    words: what is run, for the terminal's first line. beside: each entered in the graph's domain, while it runs.
    """
    log = out / "nodes.log"
    with ros.own_domain() as domain, ros.Console(log, "episode_runner") as show:
        print(f"{words}, ROS domain {domain}", file=sys.stderr, flush=True)
        try:
            with ExitStack() as stack:
                for companion in beside:
                    stack.enter_context(companion())
                code = ros.run_graph(graph, show=show)
        except UsageError:
            raise
        except CladError as error:
            raise CladError(str(error), f"All that the nodes said is in {log}") from error
    if code:
        print(f"clad: interrupted; the same command with --out {out} --resume goes on", file=sys.stderr)
    return code
