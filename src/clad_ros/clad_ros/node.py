"""The one lifecycle idiom of all nodes: `configure` refuses with a CladError, `auto_activate` brings a node up by itself.

A node without a lifecycle manager (this repository's supervisor, a plain `ros2 run`) starts with auto_activate true: if
configuring fails it prints one line and exits 1, or 2 where the request was wrong. Under a manager set it to false; the
refusal is then the transition's failure and the same line in the log.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

import rclpy
from lifecycle_msgs.msg import State
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from clad.errors import CladError
from clad_ros import topics
from clad_ros.connections import Connections
from clad_ros.diagnostics import Diagnostics
from clad_ros.garbage import set_aside
from clad_ros.realtime import take_precedence

HEARTBEAT_PERIOD = 1.0  # s


class CladNode(LifecycleNode):
    """Subclasses declare settings in __init__ and implement configure, release, and optionally activate, deactivate.

    configure() acquires everything (models, publishers, subscriptions, threads) and raises CladError to refuse.
    release() gives back what configure() acquired; it is also called after a configure() that failed half-way.
    Callbacks look at `active` first: subscriptions deliver from configure on.
    """

    def __init__(self, name: str, **kwargs) -> None:
        self._connections = Connections(self)
        super().__init__(name, **kwargs)
        self.active = False
        self.refusal: CladError | None = None
        self.setting("auto_activate", True, "configure and activate at start, exit if that fails")
        self.setting("realtime", 0, "real-time priority, 1 to 99, with memory that is never paged out; 0: neither")
        self.diagnostics = Diagnostics(self)
        self._heartbeat = self.create_publisher(State, topics.heartbeat_topic(self.get_name()), topics.HEARTBEAT_QOS)
        self.create_timer(HEARTBEAT_PERIOD, self._beat, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def create_subscription(self, msg_type, topic, *args, event_callbacks=None, **kwargs):
        """As rclpy's; a publisher that cannot be heard for its QoS is told in the diagnostics."""
        events = self._connections.of_subscription(topic, event_callbacks)
        return super().create_subscription(msg_type, topic, *args, event_callbacks=events, **kwargs)

    def create_publisher(self, msg_type, topic, *args, event_callbacks=None, **kwargs):
        """As rclpy's; a subscription that cannot hear for its QoS is told in the diagnostics."""
        events = self._connections.of_publisher(topic, event_callbacks)
        return super().create_publisher(msg_type, topic, *args, event_callbacks=events, **kwargs)

    def create_lifecycle_publisher(self, msg_type, topic, *args, event_callbacks=None, **kwargs):
        """As rclpy's, with the same care."""
        events = self._connections.of_publisher(topic, event_callbacks)
        return super().create_lifecycle_publisher(msg_type, topic, *args, event_callbacks=events, **kwargs)

    def setting(self, name: str, default: Any, description: str) -> None:
        """Declare a parameter that is read at configure (`self.value`)."""
        self.declare_parameter(name, default, ParameterDescriptor(description=description))

    def value(self, name: str) -> Any:
        """A declared parameter's present value."""
        return self.get_parameter(name).value

    def configure(self) -> None:
        raise NotImplementedError

    def release(self) -> None:
        raise NotImplementedError

    def activate(self) -> None:
        """What must happen once publishers may speak."""

    def deactivate(self) -> None:
        """What must happen before publishers fall silent."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self.configure()
            take_precedence(self.value("realtime"))
        except CladError as error:
            return self._refuse(error)
        except Exception as error:
            traceback.print_exc()
            return self._refuse(CladError(f"internal error at configure: {error!r}", "The lines above say where"))
        self.diagnostics.ok("configured")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = super().on_activate(state)
        set_aside()
        self.active = True
        self.diagnostics.ok("active")
        self.activate()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.deactivate()
        self.active = False
        self.diagnostics.ok("inactive")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.active = False
        self.release()
        return super().on_shutdown(state)

    def _beat(self) -> None:
        number, label = self._state_machine.current_state
        self._heartbeat.publish(State(id=number, label=label))

    def _refuse(self, reason: CladError) -> TransitionCallbackReturn:
        self.refusal = reason
        self.diagnostics.error(str(reason))
        self.release()
        return TransitionCallbackReturn.FAILURE


def run_node(node_class: type[CladNode], args: list[str] | None = None) -> int:
    """A node's main: spin on one thread until a signal; returns the process's exit code.

    The single-threaded executor is deliberate: it times better than the multi-threaded one, and a simulator's GL context
    belongs to one thread.
    """
    node = None
    try:
        rclpy.init(args=args)
        node = node_class()
        if node.value("auto_activate"):
            if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
                print(f"{node.get_name()}: {' '.join(str(node.refusal).split())}", file=sys.stderr, flush=True)
                return node.refusal.exit_code
            node.trigger_activate()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass  # Ctrl-C or SIGTERM: the ordinary end of a node
    finally:
        if node is not None:
            node.release()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
