"""A graph that runs for as long as something in this process has use for it: for studies and measurements.

`conduct` starts the nodes, as `run_graph` does, and calls `work` with a Conductor, which speaks to them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from clad.errors import CladError
from clad_bringup.graph import NodeSpec
from clad_bringup.supervisor import run_graph
from clad_interfaces.action import RunEpisode
from clad_ros import topics

T = TypeVar("T")
START_TIMEOUT = 120.0  # s: importing and warming up, on a machine that does other things too
POLL = 0.05  # s


class Conductor:
    """A node beside the graph; only the thread that `work` runs in may use it, and it hears nothing but while it waits."""

    def __init__(self, ended: threading.Event) -> None:
        """ended: set when the graph has ended or is to end."""
        self._ended = ended
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("conductor", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._episodes = ActionClient(self.node, RunEpisode, topics.RUN_EPISODE)

    def close(self) -> None:
        self._episodes.destroy()
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = START_TIMEOUT) -> None:
        """Handle messages until the condition holds. Raises CladError naming `what`; KeyboardInterrupt when the graph ends."""
        if not self._until(condition, timeout):
            raise CladError(f"waited {timeout:g} s in vain for {what}")

    def spin(self, future: Future | None, timeout: float) -> bool:
        """Handle messages until the future is done or the time is over; whether it is done. KeyboardInterrupt as `wait`."""
        return self._until(lambda: future is not None and future.done(), timeout)

    def _until(self, condition: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not condition():
            if self._ended.is_set():
                raise KeyboardInterrupt
            if time.monotonic() > deadline:
                return False
            self._executor.spin_once(timeout_sec=POLL)
        return True

    def wait_active(self, names: Sequence[str]) -> None:
        """Until these lifecycle nodes are active."""
        for name in names:
            client = self.node.create_client(GetState, f"/{name}/get_state")

            def active(client=client) -> bool:
                if not client.service_is_ready():
                    return False
                future = client.call_async(GetState.Request())
                self._executor.spin_until_future_complete(future, timeout_sec=1.0)
                return future.done() and future.result().current_state.label == "active"

            self.wait(active, f"{name} to be active")
            self.node.destroy_client(client)

    def episode(self, goal: RunEpisode.Goal, timeout: float) -> RunEpisode.Result:
        """Run an episode to its outcome; raises CladError when it cannot be started or is aborted."""
        self.wait(self._episodes.server_is_ready, topics.RUN_EPISODE)
        sent = self._episodes.send_goal_async(goal)
        self.wait(sent.done, "the bridge to accept an episode")
        if not sent.result().accepted:
            raise CladError("the bridge did not accept the episode")
        finished = sent.result().get_result_async()
        self.wait(finished.done, "the episode's outcome", timeout)
        result = finished.result().result
        if result.outcome == "aborted":
            raise CladError(f"the episode was aborted: {result.reason}")
        return result


def conduct(specs: list[NodeSpec], work: Callable[[Conductor], T], *, show: Callable[[str, str], None]) -> T:
    """Start the graph, do the work, end the graph; what the work returns. show: as of `run_graph`.

    Raises what the work raises, CladError when a node ends before it, KeyboardInterrupt at a signal.
    """
    ended = threading.Event()
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        conductor = Conductor(ended)
        try:
            outcome.append(work(conductor))
        except BaseException as error:
            failure.append(error)
        finally:
            conductor.close()

    thread = threading.Thread(target=run, name="conductor")

    def done() -> bool:
        """Starts the work at its first call: after the last fork, which must not meet a second thread."""
        if thread.ident is None:
            thread.start()
        return not thread.is_alive()

    try:
        code = run_graph(specs, show=show, until=done)
    finally:
        ended.set()
        if thread.ident is not None:
            thread.join()
    if code:
        raise KeyboardInterrupt
    if failure:
        raise failure[0]
    return outcome[0]
