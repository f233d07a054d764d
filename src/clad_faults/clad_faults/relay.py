"""A wire with a fault in it: one topic carried from its publisher to the node under test, harmed on the way when asked."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile

PREFIX = "/relayed"
RECENT = 20  # messages kept of each topic
_STAMP = struct.Struct("<iI")  # builtin_interfaces/Time in little-endian CDR …
_STAMP_AT = 4  # … behind the encapsulation header: every relayed message begins with a std_msgs/Header

Tamper = Callable[[bytes], list[bytes]]  # one serialised message to those that are delivered in its place


def relayed(topic: str) -> str:
    """Where the node under test listens in place of `topic`."""
    return PREFIX + topic


def stamp_of(data: bytes) -> int:
    """header.stamp of a serialised message, ns."""
    sec, nanosec = _STAMP.unpack_from(data, _STAMP_AT)
    return sec * 10**9 + nanosec


def with_stamp(data: bytes, stamp: int) -> bytes:
    """The same serialised message with another header.stamp, ns."""
    return data[:_STAMP_AT] + _STAMP.pack(*divmod(stamp, 10**9)) + data[_STAMP_AT + _STAMP.size :]


class Relay:
    """Delivers `topic` on `relayed(topic)`, unchanged and in order until `tamper` is set.

    noticed: called for every message that is not delivered as it came.
    """

    def __init__(self, node: Node, message: type, topic: str, qos: QoSProfile, noticed: Callable[[], None]) -> None:
        self._node, self._message, self._topic, self._qos = node, message, topic, qos
        self._noticed = noticed
        self.tamper: Tamper | None = None
        self.recent: deque[bytes] = deque(maxlen=RECENT)  # as published, oldest first
        self._publisher = node.create_publisher(message, relayed(topic), qos)
        node.create_subscription(message, topic, self._carry, qos, raw=True)

    def _carry(self, data: bytes) -> None:
        self.recent.append(data)
        out = [data] if self.tamper is None else self.tamper(data)
        if out != [data]:
            self._noticed()
        for item in out:
            self._publisher.publish(item)

    def prepare(self, qos: QoSProfile) -> Callable[[], None]:
        """A publisher with another QoS, which takes over when the returned function is called; `restore` ends that."""
        other = self._node.create_publisher(self._message, relayed(self._topic), qos)

        def take_over() -> None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = other

        return take_over

    def restore(self) -> None:
        """Publish with the topic's own QoS again."""
        self._node.destroy_publisher(self._publisher)
        self._publisher = self._node.create_publisher(self._message, relayed(self._topic), self._qos)

    def old(self, messages: int) -> bytes:
        """The message that was published so many before the newest, or the oldest that is kept."""
        return self.recent[max(len(self.recent) - 1 - messages, 0)]


def drop(data: bytes) -> list[bytes]:
    """A stream that has stopped."""
    return []


def shifted(seconds: float) -> Tamper:
    """A clock that is ahead (positive) or behind."""
    return lambda data: [with_stamp(data, max(stamp_of(data) + round(seconds * 1e9), 0))]


def frozen() -> Tamper:
    """The first message for ever, under the stamps of the others: a camera driver whose sensor hangs."""
    first: list[bytes] = []

    def hold(data: bytes) -> list[bytes]:
        first[:] = first or [data]
        return [with_stamp(first[0], stamp_of(data))]

    return hold
