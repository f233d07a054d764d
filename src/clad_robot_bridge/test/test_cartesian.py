"""The Cartesian kinds of driver, end to end on the loopback robot."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from variants import variant

from clad.contract import load_contract, native_to_wire
from clad.robot.kinematics import load_kinematics
from clad_interfaces.msg import ActionChunk, ExecutedAction
from clad_interfaces.srv import ResetEpisode
from clad_ros import topics
from clad_ros.convert import _floats
from clad_ros.stamps import control_period_ns, duration_msg, time_msg, to_ns
from clad_ros.testing import open_graph

pytestmark = pytest.mark.timeout(300)

FAKE = load_contract("fake")
PERIOD = control_period_ns(FAKE)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pose", "twist"])
def test_a_chunk_moves_the_hand_through_a_cartesian_driver(kind, tmp_path):
    position, quaternion = load_kinematics(FAKE).forward(np.array(FAKE.driver.home))
    home = [float(v) for v in [*(position + [0.0, 0.0, 0.02]), *quaternion]]
    contract = variant(tmp_path, driver={"kind": kind, "home": home, "home_speed": 0.1, "command": "/fake/cartesian"})
    with open_graph() as graph:
        graph.start("clad_fake_robot", "loopback_robot_node", "loopback_robot", contract=contract)
        graph.start("clad_robot_bridge", "robot_bridge_node", "robot_bridge", contract=contract, instruction="x")
        pose = graph.collect(PoseStamped, topics.EE_POSE, topics.STATE_QOS)
        executed = graph.collect(ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS)
        speak = graph.publisher(ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS).publish
        reset = graph.call(ResetEpisode, topics.RESET_EPISODE)
        assert reset.success, reset.message
        graph.wait(lambda: len(pose) > 2 and len(executed) > 2, "the episode")
        at = lambda m: np.array([m.pose.position.x, m.pose.position.y, m.pose.position.z])  # noqa: E731
        assert np.allclose(at(pose[0]), home[:3], atol=0.015)  # it went up to this home first

        steps, start = 40, to_ns(pose[-1].header.stamp)
        values = np.zeros((steps, 7))
        values[:, 1], values[:, 6] = -0.4, 1.0
        message = ActionChunk(
            seq=1, episode=reset.episode, obs_stamp=time_msg(start), step_dt=duration_msg(PERIOD),
            names=list(FAKE.action.names), units=list(FAKE.action.units), representation=ActionChunk.OSC_POSE_DELTA,
            steps=steps, values=_floats(native_to_wire(values, FAKE.action)), valid_until=time_msg(start + steps * PERIOD),
        )  # fmt: skip
        message.header.stamp = time_msg(start)
        before = at(pose[-1])
        speak(message)
        graph.wait(lambda: executed[-1].reason.endswith(("past_end", "expired")), "the end of the chunk")
        moved = at(pose[-1]) - before
        taken = [m for m in executed if m.source == ExecutedAction.SOURCE_CHUNK]
        told = sum(m.values[1] * FAKE.action.scale[1] for m in taken)
        assert len(taken) > 20 and told < -0.05
        # deltas count from where the hand is measured: a measurement that is late makes the way shorter, never longer
        assert 1.1 * told < moved[1] < 0.3 * told and np.abs(moved[[0, 2]]).max() < 0.02
