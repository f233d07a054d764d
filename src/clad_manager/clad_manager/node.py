"""Lifecycle manager: brings the nodes up in order, hears their heartbeats, acts when one is lost.

The nodes must be started with auto_activate false. A lost node's process is its launcher's to start again (respawn, an
operator, a service manager); the manager then brings it up as at the beginning.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Bool

from clad.errors import CladError, UsageError, unknown_name
from clad_interfaces.msg import SafetyStatus
from clad_manager.order import ACTIVE, AFTER, GONE, REFUSED, UNKNOWN, next_transitions
from clad_ros import topics
from clad_ros.diagnostics import Diagnostics

TICK = 0.1  # s
SETTLED = 2.0  # s after a transition from which on a heartbeat's word for the state is newer than the answer's
UNANSWERED = 3.0  # s after a question from which on a heartbeat says that it was not heard
ON_LOSS = ("stop", "report", "halt")
_TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
}


class Managed:
    """What is known of one node. changed, heard: monotonic s of the last transition and heartbeat. alive: ever heard."""

    def __init__(self, node: Manager, name: str) -> None:
        self.name, self.state, self.words = name, UNKNOWN, ""
        self.pending: Future | None = None  # what it was asked, until it answers
        self.changed = self.heard = self.asked = time.monotonic()
        self.alive = False
        self.get = node.create_client(GetState, f"/{name}/get_state")
        self.change = node.create_client(ChangeState, f"/{name}/change_state")
        node.create_subscription(
            State,
            topics.heartbeat_topic(name),
            partial(node.on_heartbeat, self),
            topics.HEARTBEAT_QOS,
            event_callbacks=SubscriptionEventCallbacks(liveliness=partial(node.on_liveliness, self)),
        )

    @property
    def ready(self) -> bool:
        return self.state == ACTIVE and self.alive


class Manager(Node):
    """`failure` is set when the graph cannot be brought up, or must not go on; the process then ends with it."""

    def __init__(self) -> None:
        super().__init__("manager")
        for name, default, description in (
            ("nodes", ["recorder", "policy", "planner", "sim_bridge"], "the nodes, in the order of activation"),
            ("on_loss", "stop", "a node is gone or silent: stop (emergency stop), report, or halt (stop and end)"),
            ("recover", True, "bring a node up again that comes back"),
            ("startup_timeout", 120.0, "s until every node must be active"),
            ("silence", 15.0, "s without a heartbeat from which on a node that lives counts as hanging"),
        ):
            self.declare_parameter(name, default, ParameterDescriptor(description=description))
        self._on_loss = self.value("on_loss")
        if self._on_loss not in ON_LOSS:
            raise unknown_name("on_loss", self._on_loss, ON_LOSS)
        if not self.value("nodes"):
            raise UsageError("there is no node to manage", "Give the parameter nodes")
        self.failure: CladError | None = None
        self._begun, self._up = time.monotonic(), False
        self._diagnostics = Diagnostics(self)
        self._stopping = False  # until the bridge says that it has stopped
        self._button = self.create_publisher(Bool, topics.ESTOP, topics.ESTOP_QOS)
        self.create_subscription(SafetyStatus, topics.SAFETY_STATUS, self._on_safety_status, topics.SAFETY_STATUS_QOS)
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.DIAGNOSTICS_QOS)
        self._nodes = {name: Managed(self, name) for name in self.value("nodes")}
        self.create_timer(TICK, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def value(self, name: str):
        return self.get_parameter(name).value

    # --- what is heard

    def on_heartbeat(self, managed: Managed, message: State) -> None:
        managed.heard, managed.alive = time.monotonic(), True
        if managed.state == GONE:
            self._back(managed)
        elif managed.pending and managed.heard - managed.asked > UNANSWERED:
            # it beats from the thread that would answer. The question went to a process that has died: the middleware
            # takes its services for there until its participant's lease is over, 20 s
            self.get_logger().warning(f"{managed.name} has not heard what it was asked: asking again")
            managed.pending, managed.state, managed.changed = None, message.label, managed.heard
        elif not managed.pending and managed.heard - managed.changed > SETTLED and managed.state != REFUSED:
            managed.state = message.label

    def on_liveliness(self, managed: Managed, event) -> None:
        if event.alive_count == 0 and event.alive_count_change < 0:
            self._lost(managed, f"{managed.name} is gone")
        elif event.alive_count_change > 0 and managed.state == GONE:
            self._back(managed)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name in self._nodes and status.level == DiagnosticStatus.ERROR:
                self._nodes[status.name].words = status.message

    def _on_safety_status(self, message: SafetyStatus) -> None:
        if message.state == SafetyStatus.ESTOP:
            self._stopping = False

    # --- what is done

    def _tick(self) -> None:
        now = time.monotonic()
        if self._stopping:
            self._button.publish(Bool(data=True))
        for managed in self._nodes.values():
            if managed.state == UNKNOWN and not managed.pending and managed.get.service_is_ready():
                self._ask(managed, managed.get, GetState.Request(), self._on_state)
            if managed.state == ACTIVE and now - managed.heard > self.value("silence"):
                self._lost(managed, f"{managed.name} hangs: no heartbeat for {now - managed.heard:.0f} s")
        states = {name: managed.state for name, managed in self._nodes.items()}
        if not self._up or self.value("recover"):
            for name, transition in next_transitions(states, list(self._nodes)):
                self._change(self._nodes[name], transition)
        # whose heartbeat has not been heard, its loss would not be heard either
        unready = {m.name: m.state if m.alive else f"{m.state}, not heard" for m in self._nodes.values() if not m.ready}
        if not unready:
            if not self._up:
                self._up = True
                self.get_logger().info(f"all nodes are active: {', '.join(states)}")
            self._diagnostics.ok("all nodes are active", **states)
            return
        missing = ", ".join(f"{name} is {state}" for name, state in unready.items())
        if self._up:
            self._diagnostics.error(missing, **states)
            return
        self._diagnostics.ok("starting", **states)
        refused = next((m for m in self._nodes.values() if m.state == REFUSED), None)
        if refused is not None and (refused.words or now - refused.changed > SETTLED):
            self.failure = CladError(f"{refused.name}: {refused.words or 'refused, see its log'}")
        elif now - self._begun > self.value("startup_timeout"):
            self.failure = CladError(
                f"not up after {now - self._begun:.0f} s: {missing}", "See the logs of these nodes"
            )

    def _change(self, managed: Managed, transition: str) -> None:
        if not managed.pending and managed.change.service_is_ready():
            request = ChangeState.Request(transition=Transition(id=_TRANSITIONS[transition]))
            managed.words = ""
            self._ask(managed, managed.change, request, partial(self._on_changed, transition))

    def _ask(self, managed: Managed, client, request, answered) -> None:
        managed.pending, managed.asked = client.call_async(request), time.monotonic()

        def done(future: Future) -> None:
            if future is managed.pending:  # else it was given up
                managed.pending = None
                answered(managed, future.result())

        managed.pending.add_done_callback(done)

    def _on_state(self, managed: Managed, answer: GetState.Response) -> None:
        managed.changed = time.monotonic()
        managed.state = answer.current_state.label

    def _on_changed(self, transition: str, managed: Managed, answer: ChangeState.Response) -> None:
        managed.changed = time.monotonic()
        managed.state = AFTER[transition] if answer.success else REFUSED

    def _lost(self, managed: Managed, words: str) -> None:
        if managed.state == GONE:
            return
        managed.state, managed.alive = GONE, False
        self.get_logger().error(words)
        if not self._up:
            return
        if self._on_loss != "report":
            self._stopping = True
            self._button.publish(Bool(data=True))
        if self._on_loss == "halt":
            for other in reversed(self._nodes.values()):
                if other.state == ACTIVE:
                    self._change(other, "deactivate")
            self.failure = CladError(words, "The graph was halted; start it again")

    def _back(self, managed: Managed) -> None:
        """It, or a new process of its name: whatever was being asked of the old one is forgotten."""
        self.get_logger().info(f"{managed.name} is back")
        managed.state, managed.pending, managed.heard = UNKNOWN, None, time.monotonic()


def main() -> None:
    sys.exit(_run())


def _run() -> int:
    try:
        rclpy.init()
        node = Manager()
        while node.failure is None:
            rclpy.spin_once(node, timeout_sec=1.0)
        deadline = time.monotonic() + 1.0  # what was asked for on the way out
        while time.monotonic() < deadline and node._on_loss == "halt":
            rclpy.spin_once(node, timeout_sec=0.1)
        raise node.failure
    except CladError as error:
        print(f"manager: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return error.exit_code
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        rclpy.try_shutdown()
