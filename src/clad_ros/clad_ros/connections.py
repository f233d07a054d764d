"""Middleware events of a node's publishers and subscriptions, in words on /diagnostics: who cannot hear whom, and why."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.qos import qos_policy_name_from_kind

from clad_ros.diagnostics import ERROR, WARN, Diagnostics

if TYPE_CHECKING:
    from clad_ros.node import CladNode


class Connections:
    """Gives every publisher and subscription its event callbacks; those that the caller has set stay.

    Speaks as a status of its own, 'NODE: connections', and only once there is something to say. The middleware does not
    tell when a partner with the wrong QoS has gone again, so a fault stands until the node ends.
    """

    def __init__(self, node: CladNode) -> None:
        self._node = node
        self._diagnostics: Diagnostics | None = None
        self._faults: dict[str, tuple[bytes, str]] = {}  # topic -> level, words

    def of_subscription(self, topic: str, given: SubscriptionEventCallbacks | None) -> SubscriptionEventCallbacks:
        events = given or SubscriptionEventCallbacks()
        events.incompatible_qos = events.incompatible_qos or partial(self._unheard, topic)
        events.deadline = events.deadline or partial(self._late, topic)
        return events

    def of_publisher(self, topic: str, given: PublisherEventCallbacks | None) -> PublisherEventCallbacks:
        events = given or PublisherEventCallbacks()
        events.incompatible_qos = events.incompatible_qos or partial(self._not_hearing, topic)
        return events

    def _unheard(self, topic: str, event) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
        self._tell(ERROR, topic, f"{topic}: a publisher is not heard, its {policy} is incompatible")

    def _late(self, topic: str, event) -> None:
        self._tell(WARN, topic, f"{topic}: the deadline was missed {event.total_count} times")

    def _not_hearing(self, topic: str, event) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
        self._tell(WARN, topic, f"{topic}: a subscription does not hear this node, its {policy} is incompatible")

    def _tell(self, level: bytes, topic: str, words: str) -> None:
        self._faults[topic] = (level, words)
        if self._diagnostics is None:
            self._diagnostics = Diagnostics(self._node, part="connections")
        worst = max(level for level, _ in self._faults.values())
        self._diagnostics.report(worst, "; ".join(words for _, words in self._faults.values()))
