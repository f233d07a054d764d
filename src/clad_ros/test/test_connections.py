"""Partners with the wrong QoS are told in words, by the node that cannot hear or be heard."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool

from clad_ros import topics
from clad_ros.node import CladNode
from clad_ros.testing import open_graph

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


def test_incompatible_qos_is_told_in_words():
    with open_graph() as graph:
        node, told = CladNode("ears"), []
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.add_node(graph.node)
        graph.node.create_subscription(
            DiagnosticArray,
            topics.DIAGNOSTICS,
            lambda m: told.extend(s for s in m.status if s.name == "ears: connections"),
            topics.DIAGNOSTICS_QOS,
        )
        node.create_subscription(Bool, "/heard", lambda m: None, RELIABLE)
        node.create_publisher(Bool, "/spoken", BEST_EFFORT)
        node.create_lifecycle_publisher(Bool, "/spoken_later", BEST_EFFORT)
        graph.node.create_publisher(Bool, "/heard", BEST_EFFORT)
        for topic in ("/spoken", "/spoken_later"):
            graph.node.create_subscription(Bool, topic, lambda m: None, RELIABLE)
        words = {
            "/heard: a publisher is not heard, its reliability is incompatible",
            "/spoken: a subscription does not hear this node, its reliability is incompatible",
            "/spoken_later: a subscription does not hear this node, its reliability is incompatible",
        }
        for _ in range(500):
            if told and set(told[-1].message.split("; ")) == words:
                break
            executor.spin_once(timeout_sec=0.02)
        assert set(told[-1].message.split("; ")) == words
        assert told[-1].level == DiagnosticStatus.ERROR
        executor.shutdown()
        node.destroy_node()
