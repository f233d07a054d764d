"""One node's state of health on /diagnostics: what holds now, once a second and at every change."""

from __future__ import annotations

import math
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from clad_ros.topics import DIAGNOSTICS, DIAGNOSTICS_QOS

LOG_PERIOD = 10.0  # s: a fault that comes and goes must not flood the terminal
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Diagnostics:
    """Publishes one DiagnosticStatus, named after its node. Callable from any thread.

    A change of level or message goes out at once, so that a fault is in the bag even if the node dies of it; key-value
    pairs ride along with whatever is published next. Alarms are logged too, the same words once in LOG_PERIOD. The timer runs on the steady clock: health must be told also
    while sim time stands still.
    """

    def __init__(self, node: Node, part: str = "") -> None:
        """part: what of the node this is about; such a status is named 'node: part'."""
        self._node = node
        self._lock = threading.Lock()
        name = f"{node.get_name()}: {part}" if part else node.get_name()
        self._status = DiagnosticStatus(level=OK, name=name, message="starting")
        self._values: dict[str, str] = {}
        self._logged: dict[str, float] = {}  # message -> when it was logged, s
        self._publisher = node.create_publisher(DiagnosticArray, DIAGNOSTICS, DIAGNOSTICS_QOS)
        self._timer = node.create_timer(1.0, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def ok(self, message: str, **values) -> None:
        self.report(OK, message, **values)

    def warn(self, message: str, **values) -> None:
        self.report(WARN, message, **values)

    def error(self, message: str, **values) -> None:
        self.report(ERROR, message, **values)

    def report(self, level: bytes, message: str, **values) -> None:
        """Replace level and message, update the values; publish at once if level or message changed."""
        with self._lock:
            changed = (level, message) != (self._status.level, self._status.message)
            self._status.level, self._status.message = level, message
            self._values.update({k: str(v) for k, v in values.items()})
            now = time.monotonic()
            log = changed and level != OK and now - self._logged.get(message, -math.inf) >= LOG_PERIOD
            if log:
                self._logged = {message: now, **{k: t for k, t in self._logged.items() if now - t < LOG_PERIOD}}
        if changed:
            self._publish()
        if log:
            self._node.get_logger().warning(message)

    def set(self, **values) -> None:
        """Update the values without a message of its own."""
        with self._lock:
            self._values.update({k: str(v) for k, v in values.items()})

    def destroy(self) -> None:
        """Say nothing more. Only for a part; a node speaks to its end."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _publish(self) -> None:
        if not self._node.context.ok():  # the process is ending; there is nobody to tell
            return
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        with self._lock:
            self._status.values = [KeyValue(key=k, value=v) for k, v in self._values.items()]
            message.status = [self._status]
            self._publisher.publish(message)
