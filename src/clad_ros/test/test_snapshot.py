"""`clad doctor --graph` on a small graph over real DDS that is broken on purpose, in every way at once."""

from __future__ import annotations

import threading

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState

from clad.contract import load_contract
from clad.health import faults
from clad_interfaces.msg import ActionChunk, EpisodeStatus
from clad_ros import topics
from clad_ros.node import CladNode
from clad_ros.snapshot import take
from clad_ros.testing import open_graph

CONTRACT = load_contract("libero")
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class Hollow(CladNode):
    """A node with a name and a contract, and nothing else."""

    def __init__(self, name: str, contract: str) -> None:
        super().__init__(name)
        self.setting("contract", contract, "the robot")

    def configure(self) -> None:
        pass

    def release(self) -> None:
        pass


def snapshot_of(executor) -> tuple:
    """Taken in a thread of its own while the graph lives on in this one."""
    result = []
    thread = threading.Thread(target=lambda: result.append(take(seconds=1.5)))
    thread.start()
    while thread.is_alive():
        executor.spin_once(timeout_sec=0.02)
    return result[0]


def test_a_broken_graph_is_described_in_words(monkeypatch):
    with open_graph() as graph:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.node.context.get_domain_id()))
        policy, bridge = Hollow("policy", "libero"), Hollow("sim_bridge", "ur")
        executor = SingleThreadedExecutor()
        for node in (policy, bridge, graph.node):
            executor.add_node(node)
        for node in (policy, bridge):
            node.trigger_configure()
        bridge.trigger_activate()
        bridge.diagnostics.error("the gripper is stuck")
        policy.create_subscription(PoseStamped, topics.EE_POSE, lambda m: None, topics.STATE_QOS)
        create = bridge.create_publisher
        create(PoseStamped, topics.EE_POSE, BEST_EFFORT)
        joints = create(JointState, topics.JOINT_STATES, topics.STATE_QOS)
        image = create(Image, topics.image_topic("agentview"), topics.IMAGE_QOS)
        episode = create(EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS)
        for node in (policy, graph.node):
            node.create_publisher(ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS)
        episode.publish(EpisodeStatus(phase=EpisodeStatus.RUNNING, mode="free-run"))

        def speak() -> None:
            joints.publish(JointState(name=["elbow"], position=[0.0], velocity=[0.0]))
            image.publish(Image(height=2, width=4, encoding="bgr8", step=12, data=np.zeros(24, np.uint8).tobytes()))

        bridge.create_timer(0.25, speak)
        snapshot, contract = snapshot_of(executor)
        said = {f"{fault.about}: {fault.words}" for fault in faults(snapshot, contract)}
        executor.shutdown()
        for node in (policy, bridge):
            node.destroy_node()

    assert contract.name == "ur"
    for expected in (
        "planner: does not run",
        "policy: is inactive, not active",
        "contract: not one robot for all: policy has libero, sim_bridge has ur",
        "/clock: nobody publishes it",
        "/wrist/image_raw: nobody publishes it",
        "/executed_action: nobody publishes it",
        "/action_chunk: 2 publishers: policy, probe",
        "/agentview/image_raw: is 4x2 bgr8, the contract wants 128 pixels square, rgb8",
        "sim_bridge: reports an error: the gripper is stuck",
    ):
        assert expected in said, said
    assert not any(s.startswith("/episode") for s in said), said  # latched, told before anybody listened
    assert any(s.startswith("/ee_pose: policy cannot hear sim_bridge: ") and "reliab" in s for s in said)
    assert any(s.startswith("/joint_states: no joint shoulder_pan_joint") for s in said)
    assert any(s.startswith("/joint_states: ") and "Hz, where the contract wants 20" in s for s in said)
