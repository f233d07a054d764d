"""The simulated robot's publishers: those of every robot, and the clock."""

from __future__ import annotations

from rosgraph_msgs.msg import Clock

from clad.contract import RobotContract
from clad_ros import streams, topics
from clad_ros.node import CladNode
from clad_ros.stamps import time_msg


class Streams(streams.Streams):
    """The one publisher of /clock."""

    def __init__(self, node: CladNode, contract: RobotContract) -> None:
        super().__init__(node, contract)
        self._clock = node.create_lifecycle_publisher(Clock, topics.CLOCK, topics.CLOCK_QOS)

    def clock(self, now: int) -> None:
        """Sim time, ns."""
        self._clock.publish(Clock(clock=time_msg(now)))

    def destroy(self) -> None:
        super().destroy()
        self._node.destroy_lifecycle_publisher(self._clock)
