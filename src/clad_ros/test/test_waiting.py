"""What waits at a subscription is all there before a timer acts on it, though no executor has spun."""

from __future__ import annotations

from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import UInt8

from clad_ros.testing import open_graph
from clad_ros.waiting import take_waiting

DEPTH = 5
QOS = QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE)


def test_all_that_waits_is_taken_in_order_and_once():
    with open_graph() as graph:
        heard, numbers = [], range(DEPTH)
        subscription = graph.node.create_subscription(UInt8, "/number", lambda m: heard.append(m.data), QOS)
        publisher = graph.publisher(UInt8, "/number", QOS)
        silent = graph.node.create_subscription(UInt8, "/silence", lambda m: None, QOS)
        for number in numbers:
            publisher.publish(UInt8(data=number))
        publisher.wait_for_all_acked()  # by the middleware, which needs no executor
        take_waiting([silent, subscription])
        assert heard == list(numbers)
        take_waiting([silent, subscription])
        assert heard == list(numbers)
