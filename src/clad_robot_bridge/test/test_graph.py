"""Planner and policy over real DDS on the loopback robot: chunks become trajectories that go on from each other."""

from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionClient
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from clad.contract import load_contract
from clad.robot.trajectory import Trajectory
from clad.stamps import SECOND
from clad_interfaces.action import RunEpisode
from clad_interfaces.msg import ActionChunk, EpisodeStatus, ExecutedAction
from clad_interfaces.srv import ResetEpisode, SetOutcome, Step
from clad_ros import topics
from clad_ros.convert import observation_from_messages
from clad_ros.stamps import to_ns

pytestmark = pytest.mark.timeout(300)

CONTRACT = load_contract("fake")
DRIVER = CONTRACT.driver
PERIOD = round(SECOND / CONTRACT.control_rate)


@pytest.fixture(scope="module")
def nodes(graph, tiny_model):
    graph.start("clad_fake_robot", "loopback_robot_node", "loopback_robot")
    model = {"contract": "fake", "model": str(tiny_model)}
    graph.start("clad_policy", "policy_node", "policy", **model)
    graph.start("clad_planner", "planner_node", "planner", **model)
    graph.start("clad_robot_bridge", "robot_bridge_node", "robot_bridge", instruction="put the book in the back")


@pytest.fixture(scope="module")
def heard(graph, nodes):
    return {
        "chunks": graph.collect(ActionChunk, topics.ACTION_CHUNK, topics.EVERY_FORESIGHT_QOS),
        "executed": graph.collect(ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS),
        "episode": graph.collect(EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS),
        "trajectories": graph.collect(JointTrajectory, DRIVER.command, 50),
        "gripper": graph.collect(Float64MultiArray, DRIVER.gripper.topic, 50),
        "joints": graph.collect(JointState, topics.JOINT_STATES, topics.STATE_QOS),
        "pose": graph.collect(PoseStamped, topics.EE_POSE, topics.STATE_QOS),
        "agentview": graph.collect(Image, topics.image_topic("agentview"), topics.IMAGE_QOS),
        "wrist": graph.collect(Image, topics.image_topic("wrist"), topics.IMAGE_QOS),
        "info": graph.collect(CameraInfo, topics.camera_info_topic("wrist"), topics.IMAGE_QOS),
        "driver_joints": graph.collect(JointState, DRIVER.joint_states, topics.STATE_QOS),
        "diagnostics": graph.collect(DiagnosticArray, topics.DIAGNOSTICS, topics.DIAGNOSTICS_QOS),
    }


def run_episode(graph, **fields):
    client = ActionClient(graph.node, RunEpisode, topics.RUN_EPISODE)
    graph.wait(client.server_is_ready, topics.RUN_EPISODE)
    sent = client.send_goal_async(RunEpisode.Goal(**fields))
    graph.wait(sent.done, "the goal's acceptance")
    return client, sent.result(), sent.result().get_result_async()


@pytest.fixture(scope="module")
def episode(graph, heard):
    """One episode until two dozen steps came from chunks, with all that was said meanwhile."""
    client, _, finished = run_episode(graph)
    from_chunks = lambda: [m for m in heard["executed"] if m.source == ExecutedAction.SOURCE_CHUNK]  # noqa: E731
    graph.wait(lambda: len(from_chunks()) > 24, "steps that came from chunks")
    assert graph.call(SetOutcome, topics.SET_OUTCOME, outcome="timeout", reason="given up").success
    graph.wait(finished.done, "the outcome")
    result = finished.result().result
    graph.wait(lambda: heard["episode"] and heard["episode"][-1].phase == EpisodeStatus.TIMEOUT, "the latched outcome")
    graph.wait(lambda: heard["executed"][-1].step + 1 == result.steps, "the last action")
    client.destroy()
    return result


def as_trajectory(message: JointTrajectory) -> Trajectory:
    return Trajectory(
        start=to_ns(message.header.stamp),
        times=np.array([to_ns(p.time_from_start) / SECOND for p in message.points]),
        positions=np.array([p.positions for p in message.points]),
        velocities=np.array([p.velocities for p in message.points]),
    )


def test_chunks_are_executed_and_told_until_the_operator_gives_up(heard, episode):
    assert (episode.outcome, episode.success) == ("timeout", False)
    assert episode.reason == "given up" and episode.instruction == "put the book in the back"
    number = heard["episode"][-1].episode
    executed = [m for m in heard["executed"] if m.episode == number]
    steps = [m.step for m in executed]
    assert steps == sorted(set(steps)) and steps[0] == 0
    from_chunks = [m for m in executed if m.source == ExecutedAction.SOURCE_CHUNK]
    assert len(from_chunks) > 20 and episode.steps == steps[-1] + 1
    assert {m.chunk_seq for m in from_chunks} <= {m.seq for m in heard["chunks"]} and all(
        m.chunk_seq for m in from_chunks
    )
    assert all(tuple(m.names) == CONTRACT.action.names and np.abs(m.values).max() <= 1 for m in executed)
    assert len(episode.chunk_latency) > 3 and all(0 < t < 5 for t in episode.chunk_latency)
    assert heard["episode"][-1].mode == "free-run" and len(episode.action_hash) == 64


def test_observations_are_the_contracts_with_one_stamp(heard, episode):
    stamps = {to_ns(m.header.stamp) for m in heard["wrist"]}
    both = stamps & {to_ns(m.header.stamp) for m in heard["agentview"]}
    joints = {to_ns(m.header.stamp): m for m in heard["joints"]}
    poses = {to_ns(m.header.stamp): m for m in heard["pose"]}
    both = {stamp for stamp in both if stamp <= min(max(joints), max(poses))}  # the rest is still under way
    complete = both & set(joints) & set(poses)
    assert len(complete) > 5 and complete == both
    for stamp in complete:
        images = {c: next(m for m in heard[c] if to_ns(m.header.stamp) == stamp) for c in ("agentview", "wrist")}
        observation_from_messages(images, joints[stamp], poses[stamp], step=0, contract=CONTRACT)  # raises if it is not
        assert images["wrist"].header.frame_id == CONTRACT.cameras["wrist"].frame
        assert tuple(joints[stamp].name) == CONTRACT.joint_names + CONTRACT.gripper_joint_names
        assert joints[stamp].header.frame_id == poses[stamp].header.frame_id == CONTRACT.base_frame
    assert heard["info"][0].width == CONTRACT.image_size and heard["info"][0].k[0] > 0


def test_trajectories_go_on_from_each_other_in_position_and_velocity_across_chunks(heard, episode):
    ways = [as_trajectory(m) for m in heard["trajectories"]]
    assert len(ways) > 24 and all(tuple(m.joint_names) == CONTRACT.joint_names for m in heard["trajectories"])
    for before, after in zip(ways, ways[1:]):
        position, velocity = before.sample(after.start)
        assert np.allclose(after.positions[0], position, atol=1e-9)
        assert np.allclose(after.velocities[0], velocity, atol=1e-9)
        assert (after.velocities[-1] == 0).all() and (np.diff(after.times) > 0).all()
    travelled = np.ptp([w.positions[1] for w in ways], axis=0)
    assert travelled.max() > 0.01  # the arm was moved, not only held


def test_no_joint_is_commanded_beyond_its_limits(heard, episode):
    limits = CONTRACT.limits
    for way in (as_trajectory(m) for m in heard["trajectories"]):
        for seconds in np.linspace(0, way.times[-1], 9)[:-1]:
            _, velocity = way.sample(way.start + round(seconds * SECOND))
            assert (np.abs(velocity) <= np.array(limits.joint_velocity) + 1e-6).all()


def test_the_robot_follows_without_a_jump(graph, heard, episode):
    graph.wait(lambda: any(m.status[0].name == "loopback_robot" for m in heard["diagnostics"]), "the driver's health")
    last = [m.status[0] for m in heard["diagnostics"] if m.status[0].name == "loopback_robot"][-1]
    values = {v.key: v.value for v in last.values}
    assert last.message == "following" and float(values["largest_jump_rad"]) < 0.02
    joints = np.array([m.position[: len(CONTRACT.joint_names)] for m in heard["driver_joints"]])
    assert np.abs(np.diff(joints, axis=0)).max() < 0.2  # rad in one state's time, a late one included


def test_the_gripper_is_commanded_in_metres(heard, episode):
    widths = {tuple(m.data) for m in heard["gripper"]}
    assert widths <= {DRIVER.gripper.open, DRIVER.gripper.close} and DRIVER.gripper.open in widths


def test_somebody_says_how_it_ended(graph, heard, episode):
    client, _, finished = run_episode(graph, instruction="pick up the bowl")
    graph.wait(lambda: heard["episode"][-1].phase == EpisodeStatus.RUNNING, "the episode")
    assert heard["episode"][-1].instruction == "pick up the bowl"
    said = graph.call(SetOutcome, topics.SET_OUTCOME, outcome="success")
    assert said.success
    graph.wait(finished.done, "the outcome")
    assert finished.result().result.outcome == "success" and finished.result().result.success
    refused = graph.call(SetOutcome, topics.SET_OUTCOME, outcome="sucess")
    assert not refused.success and "Did you mean success?" in refused.message
    client.destroy()


def test_reset_brings_the_arm_home_and_begins_an_episode_that_nobody_drives(graph, heard, episode):
    reset = graph.call(ResetEpisode, topics.RESET_EPISODE, instruction="wait")
    assert reset.success, reset.message
    graph.wait(lambda: heard["episode"][-1].episode == reset.episode, "the news of it")
    home = heard["driver_joints"][-1].position[: len(CONTRACT.joint_names)]
    assert np.allclose(home, DRIVER.home, atol=0.05) and to_ns(reset.stamp) > 0
    refused = graph.call(Step, topics.STEP, action=[0.0] * 7)
    assert not refused.success and "lock-step" in refused.message
    assert graph.call(SetOutcome, topics.SET_OUTCOME, outcome="timeout", reason="given up").success


def test_an_episode_ends_at_its_step_limit(graph, heard, episode):
    client, _, finished = run_episode(graph, max_steps=5)
    graph.wait(finished.done, "the outcome")
    result = finished.result().result
    assert (result.outcome, result.steps) == ("timeout", 5) and "step limit 5" in result.reason

    # whoever stood beside it saw it succeed: the last word on this episode counts
    assert graph.call(SetOutcome, topics.SET_OUTCOME, outcome="success", reason="it was up").success
    graph.wait(lambda: heard["episode"][-1].phase == EpisodeStatus.SUCCESS, "the correction")
    told = heard["episode"][-1]
    assert (told.steps, told.reason, len(told.action_hash)) == (5, "it was up", 64)
    assert heard["episode"][-2].episode == told.episode and heard["episode"][-2].phase == EpisodeStatus.TIMEOUT
    assert graph.call(SetOutcome, topics.SET_OUTCOME, outcome="aborted", reason="somebody walked in").success
    assert not graph.call(SetOutcome, topics.SET_OUTCOME, outcome="success").success  # what does not count stays so
    client.destroy()


def test_a_goal_for_another_robot_is_refused_in_words(graph, heard, episode):
    client, _, finished = run_episode(graph, suite="libero_10")
    graph.wait(finished.done, "the refusal")
    assert finished.result().result.outcome == "aborted" and "no suite 'libero_10'" in finished.result().result.reason
    client.destroy()
