"""What fails at the arm's own driver holds the arm by the bridge's own word: no planner runs here that could tell it."""

from __future__ import annotations

import math

import pytest
from sensor_msgs.msg import Image, JointState
from variants import variant

from clad.contract import load_contract
from clad_interfaces.msg import ExecutedAction
from clad_interfaces.srv import ResetEpisode
from clad_ros import topics
from clad_ros.stamps import to_ns

pytestmark = pytest.mark.timeout(300)
DRIVER = load_contract("fake").driver


def stamps(messages: list) -> list[int]:
    return [to_ns(message.header.stamp) for message in messages]


def test_a_camera_that_stops_and_joints_that_are_no_numbers_hold_the_arm_until_they_are_well(graph, tmp_path):
    # camera and joints come through this test, which can withhold or spoil them
    contract = variant(
        tmp_path,
        driver={"joint_states": "/through/joints", "images": {**DRIVER.images, "agentview": "/through/image_raw"}},
    )
    camera_works, joints_work, withheld = True, True, []
    joints = graph.node.create_publisher(JointState, "/through/joints", topics.STATE_QOS)
    camera = graph.node.create_publisher(Image, "/through/image_raw", topics.IMAGE_QOS)

    def on_joints(message: JointState) -> None:
        if not joints_work:
            message.position[0] = math.nan
        joints.publish(message)

    def on_image(message: Image) -> None:
        if camera_works:
            camera.publish(message)
        else:
            withheld.append(message)

    graph.node.create_subscription(JointState, DRIVER.joint_states, on_joints, topics.STATE_QOS)
    graph.node.create_subscription(Image, DRIVER.images["agentview"], on_image, topics.IMAGE_QOS)
    graph.start("clad_fake_robot", "loopback_robot_node", "loopback_robot")
    graph.start("clad_robot_bridge", "robot_bridge_node", "robot_bridge", contract=contract, instruction="x")
    executed = graph.collect(ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS)
    told = graph.collect(JointState, topics.JOINT_STATES, topics.STATE_QOS)
    assert graph.call(ResetEpisode, topics.RESET_EPISODE).success

    def now_because(words: str) -> None:
        graph.wait(lambda: executed and words in executed[-1].reason, f"a hold because {words}")
        assert executed[-1].source == ExecutedAction.SOURCE_HOLD

    now_because("no chunk")
    camera_works = False
    now_because("agentview is late: nothing for")
    graph.wait(lambda: stamps(told)[-1] > stamps(withheld)[0], "joints that are told without a picture")
    before = len(told)
    camera.publish(next(m for m in reversed(withheld) if to_ns(m.header.stamp) < stamps(told)[-1]))
    graph.wait(lambda: len(told) > before + 1, "more that is told")
    camera_works = True
    now_because("no chunk")
    joints_work = False
    now_because("joint_states: position of shoulder_pan_joint is not a finite number")
    joints_work = True
    now_because("no chunk")
    assert stamps(told) == sorted(stamps(told)), "a late picture must not take the planner back in time"
