"""What an arm that is not heard, or is not as described, is told."""

from __future__ import annotations

import pytest
from variants import variant

from clad_interfaces.srv import ResetEpisode
from clad_ros import topics

pytestmark = pytest.mark.timeout(300)


def test_a_silent_arm_and_one_that_is_elsewhere_are_named(graph, tmp_path):
    contract = variant(tmp_path, ee_frame="wrist_3_link")  # 0.1 m from the flange, of which the driver tells
    graph.start(
        "clad_robot_bridge", "robot_bridge_node", "robot_bridge", contract=contract, instruction="x", listen=0.5
    )
    silent = graph.call(ResetEpisode, topics.RESET_EPISODE)
    assert not silent.success
    assert "nothing has been heard of joint_states, ee_pose, agentview, wrist" in silent.message
    graph.start("clad_fake_robot", "loopback_robot_node", "loopback_robot")
    reasons: list[str] = []

    def answer() -> str:
        response = graph.call(ResetEpisode, topics.RESET_EPISODE)
        assert not response.success
        reasons.append(response.message)
        return response.message

    graph.wait(lambda: "apart" in answer(), "the arm to be heard")
    assert "driver.model" in reasons[-1] and "base_frame or ee_frame" in reasons[-1]
