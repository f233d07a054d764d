"""Whether the nodes that command a robot are there, alone and well. Whoever executes their chunks holds while they are not."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.event_handler import QoSLivelinessChangedInfo, SubscriptionEventCallbacks

from clad.runtime.execution import REFUSALS
from clad_ros import topics
from clad_ros.node import CladNode

DISTRUST = ("not_finite", "future", "late")  # with such a chunk, those before it are not to be trusted either
COMMANDING = {"planner": topics.LATENT_FORESIGHT, "policy": topics.ACTION_CHUNK}  # node -> what it publishes


class Partners:
    """`reason` says why the robot must hold; empty while planner and policy are as they should be.

    Three signs, and none is older than a control period: what they say of themselves on /diagnostics; the liveliness of
    their publishers, which the middleware asserts from a thread of its own as long as the process lives; and that there is
    one publisher of each. A node that was never there is no reason: then there is no chunk either.
    """

    def __init__(self, node: CladNode) -> None:
        self._node = node
        self._alive: dict[str, int] = {}
        self._faults: dict[str, str] = {}
        self._chunk = ""
        self.subscription = node.create_subscription(
            DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.DIAGNOSTICS_QOS
        )

    def watch(self, name: str) -> SubscriptionEventCallbacks:
        """For the subscription to what `name` publishes; it must ask for that publisher's liveliness (clad_ros.topics)."""

        def changed(event: QoSLivelinessChangedInfo) -> None:
            self._alive[name] = event.alive_count

        return SubscriptionEventCallbacks(liveliness=changed)

    def judged(self, flag: str) -> None:
        """What became of a chunk that arrived: 'accepted', or the key of REFUSALS. Some say that none can be trusted now."""
        if flag == "accepted":
            self._chunk = ""
        elif flag in DISTRUST:
            self._chunk = f"the newest chunk was refused: {REFUSALS[flag]}"

    @property
    def reason(self) -> str:
        """The first thing that is wrong, in words."""
        for name, alive in self._alive.items():
            if alive == 0:
                return f"the {name} is gone"
            if alive > 1:
                return f"two publishers of {COMMANDING[name]}: stop one of them"
        return next((f"{name}: {words}" for name, words in self._faults.items() if words), self._chunk)

    def destroy(self) -> None:
        self._node.destroy_subscription(self.subscription)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name in COMMANDING:
                self._faults[status.name] = status.message if status.level == DiagnosticStatus.ERROR else ""
