"""Node `viewer`: hears what the graph publishes and hands it to clad.look. An onlooker: it publishes nothing.

It subscribes best-effort wherever nothing is latched, so that no publisher ever waits for it, however slow it is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image

from clad.contract import RobotContract, load_contract
from clad.look.scene import Scene
from clad_interfaces.msg import ActionChunk, EpisodeStatus, ExecutedAction, LatentForesight, SafetyStatus
from clad_ros import topics

PLANNER = "planner"  # the node that knows the robot
ASK_EVERY, TELL_EVERY = 1.0, 0.5  # s of wall time


def _onlooker(depth: int) -> QoSProfile:
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


IMAGE_QOS = _onlooker(1)  # the newest will do
SIGNAL_QOS = _onlooker(50)  # of these every one is drawn that comes
# the last one must be heard by who comes late, which takes a reliable subscription
LATCHED_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SUBSCRIPTIONS = (
    (EpisodeStatus, topics.EPISODE, LATCHED_QOS),
    (SafetyStatus, topics.SAFETY_STATUS, LATCHED_QOS),
    (ExecutedAction, topics.EXECUTED_ACTION, SIGNAL_QOS),
    (LatentForesight, topics.LATENT_FORESIGHT, SIGNAL_QOS),
    (ActionChunk, topics.ACTION_CHUNK, SIGNAL_QOS),
    (DiagnosticArray, topics.DIAGNOSTICS, SIGNAL_QOS),
)


class Viewer(Node):
    """draw: makes the scene of a robot. robot: a contract's name or file; None: the one that the graph's planner has."""

    def __init__(self, draw: Callable[[RobotContract], Scene], robot: str | None = None) -> None:
        super().__init__("viewer", start_parameter_services=False)
        self._draw = draw
        self.scene: Scene | None = None
        self._asked: Any = None
        if robot is not None:
            self._begin(robot)
            return
        self._client = AsyncParameterClient(self, PLANNER)
        self._question = self.create_timer(ASK_EVERY, self._ask, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _ask(self) -> None:
        """Again and again, until there is a planner that answers."""
        if self.scene is not None or not self._client.services_are_ready():
            return
        self._asked = self._client.get_parameters(["contract"], callback=self._on_answer)

    def _on_answer(self, future: Any) -> None:
        if self.scene is None and future is self._asked and future.result().values:
            self._question.cancel()
            self._begin(future.result().values[0].string_value)

    def _begin(self, robot: str) -> None:
        contract = load_contract(robot)
        self.scene = self._draw(contract)
        for camera in contract.cameras:
            self._hear(Image, topics.image_topic(camera), IMAGE_QOS)
        for message_type, topic, qos in SUBSCRIPTIONS:
            self._hear(message_type, topic, qos)
        self.create_timer(TELL_EVERY, self._tell, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _hear(self, message_type: type, topic: str, qos: QoSProfile) -> None:
        def receive(message: Any, information: dict[str, Any]) -> None:
            self.scene.feed(topic, information["source_timestamp"], message)

        self.create_subscription(message_type, topic, receive, qos)

    def _tell(self) -> None:
        self.scene.tell(time.time_ns())


def view(draw: Callable[[RobotContract], Scene], robot: str | None = None) -> None:
    """Show the graph of this ROS domain until Ctrl-C or SIGTERM. Raises CladError for a robot that has no contract here."""
    rclpy.init()
    node = Viewer(draw, robot)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def main() -> int:
    """`ros2 run clad_viewer viewer_node` is `clad watch`."""
    from clad.cli.main import main as clad

    return clad(["watch", *remove_ros_args(sys.argv)[1:]])
