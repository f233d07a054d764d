"""The bridge over real DDS on real LIBERO, without planner and policy: the test says what to do."""

from __future__ import annotations

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionClient
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_srvs.srv import Trigger

from clad.contract import load_contract, native_to_wire, wire_to_native
from clad_interfaces.action import RunEpisode
from clad_interfaces.msg import ActionChunk, EpisodeStatus, ExecutedAction
from clad_interfaces.srv import ResetEpisode, Step
from clad_ros import topics
from clad_ros.convert import _floats, observation_from_messages
from clad_ros.stamps import duration_msg, time_msg, to_ns

pytestmark = pytest.mark.timeout(300)

CONTRACT = load_contract("libero")
PERIOD = 50_000_000
SCENE = {"suite": "libero_10", "task": 5, "init_index": 0, "seed": 0, "protocol": "exact"}


@pytest.fixture(scope="module")
def bridge(graph):
    return graph.start(
        "clad_sim_bridge", "sim_bridge_node", "sim_bridge",
        suite="libero_10", task=5, visuals="fast", execute_steps=3, republish_after=0.5, chunk_timeout=3.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def heard(graph, bridge):
    """topic -> every message since the bridge is up."""
    collect = graph.collect
    return {
        "clock": collect(Clock, topics.CLOCK, topics.CLOCK_QOS),
        "agentview": collect(Image, topics.image_topic("agentview"), topics.IMAGE_QOS),
        "wrist": collect(Image, topics.image_topic("wrist"), topics.IMAGE_QOS),
        "info": collect(CameraInfo, topics.camera_info_topic("wrist"), topics.IMAGE_QOS),
        "joints": collect(JointState, topics.JOINT_STATES, topics.STATE_QOS),
        "pose": collect(PoseStamped, topics.EE_POSE, topics.STATE_QOS),
        "executed": collect(ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS),
        "episode": collect(EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS),
        "diagnostics": collect(DiagnosticArray, topics.DIAGNOSTICS, topics.DIAGNOSTICS_QOS),
    }


@pytest.fixture
def forget(heard):
    for messages in heard.values():
        messages.clear()


@pytest.fixture(scope="module")
def speak(graph, bridge):
    return graph.publisher(ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS).publish


def chunk(episode: int, stamp: int, value: float = 0.2, **changes) -> ActionChunk:
    values = native_to_wire(np.full((6, 7), value), CONTRACT.action).astype(np.float32)
    message = ActionChunk(
        seq=5, episode=episode, obs_stamp=time_msg(stamp), step_dt=duration_msg(PERIOD),
        names=list(CONTRACT.action.names), units=list(CONTRACT.action.units),
        representation=ActionChunk.OSC_POSE_DELTA, steps=6, values=_floats(values),
        valid_until=time_msg(stamp + 6 * PERIOD),
    )  # fmt: skip
    message.header.stamp = time_msg(stamp)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def stamps(messages) -> list[int]:
    return [to_ns(m.header.stamp) for m in messages]


def test_reset_and_step_speak_on_every_topic_with_one_stamp(graph, heard, forget):
    reset = graph.call(ResetEpisode, topics.RESET_EPISODE, **SCENE)
    assert reset.success, reset.message
    start = to_ns(reset.stamp)
    action = np.array([0.3, -0.2, 0.1, 0.0, 0.0, 0.1, -1.0])
    step = graph.call(Step, topics.STEP, action=action.tolist())
    assert step.success and step.step == 1 and not step.done and to_ns(step.stamp) == start + PERIOD
    graph.wait(
        lambda: all(len(heard[t]) >= 2 for t in ("agentview", "wrist", "info", "joints", "pose")), "two observations"
    )
    for topic in ("agentview", "wrist", "info", "joints", "pose"):
        assert stamps(heard[topic]) == [start, start + PERIOD], topic
    (executed,) = heard["executed"]
    assert np.array_equal(executed.values, action) and to_ns(executed.header.stamp) == start
    assert (executed.source, executed.step, executed.episode) == (ExecutedAction.SOURCE_SERVICE, 0, reset.episode)
    images = {c: heard[c][1] for c in CONTRACT.cameras}
    after = observation_from_messages(images, heard["joints"][1], heard["pose"][1], step=1, contract=CONTRACT)
    assert np.abs(after.joint_velocity).max() > 0.01  # it moves
    assert after.images["agentview"].std() > 10  # and the picture shows something
    status = heard["episode"][-1]
    assert (status.phase, status.suite, status.task, status.mode) == (EpisodeStatus.RUNNING, "libero_10", 5, "lockstep")
    assert status.instruction == reset.instruction and status.scene_hash == reset.scene_hash
    assert to_ns(heard["clock"][-1].clock) == start + PERIOD


def test_the_same_reset_gives_the_same_scene_and_later_stamps(graph, heard):
    first = graph.call(ResetEpisode, topics.RESET_EPISODE, **SCENE)
    second = graph.call(ResetEpisode, topics.RESET_EPISODE, **SCENE)
    assert first.scene_hash == second.scene_hash and second.episode == first.episode + 1
    assert to_ns(second.stamp) == to_ns(first.stamp) + 10**9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"suite": "libero_11"}, "Valid: libero_10"),
        ({"task": 10}, "has no task 10"),
        ({"init_index": 50}, "has no initial state 50"),
        ({"protocol": "loose"}, "loose"),
        ({"instruction": " \n"}, "the instruction is blank"),
    ],
)
def test_a_scene_that_does_not_exist_is_refused_in_words(graph, bridge, changes, said):
    response = graph.call(ResetEpisode, topics.RESET_EPISODE, **{**SCENE, **changes})
    assert not response.success and said in response.message


def test_actions_that_no_driver_takes_are_refused(graph, bridge):
    assert graph.call(ResetEpisode, topics.RESET_EPISODE, **SCENE).success
    for action in ([0.0] * 6, [0.0] * 6 + [1.5], [float("nan")] * 7):
        response = graph.call(Step, topics.STEP, action=action)
        assert not response.success and "7 numbers in [-1, 1]" in response.message


def test_lockstep_executes_only_the_chunk_of_its_own_observation(graph, heard, forget, speak):
    reset = graph.call(ResetEpisode, topics.RESET_EPISODE, **SCENE)
    start = to_ns(reset.stamp)
    speak(chunk(reset.episode - 1, start, 0.9))  # an earlier episode's
    speak(chunk(reset.episode, start - PERIOD, 0.9))  # another observation's
    speak(chunk(reset.episode, start, 0.2))
    after = start + 3 * PERIOD
    graph.wait(lambda: after in stamps(heard["wrist"]) and after in stamps(heard["joints"]), "the next observation")
    executed = lambda: [m for m in heard["executed"] if m.episode == reset.episode]  # noqa: E731
    graph.wait(lambda: len(executed()) >= 3, "the actions")
    native = wire_to_native(native_to_wire(np.full(7, 0.2), CONTRACT.action).astype(np.float32), CONTRACT.action)
    assert [m.step for m in executed()] == [0, 1, 2]
    assert all(np.array_equal(m.values, native) and m.chunk_seq == 5 for m in executed())
    since = lambda topic: sorted({t for t in stamps(heard[topic]) if t >= start})  # noqa: E731
    assert since("wrist") == [start, after]  # pictures only where a plan is wanted
    assert since("joints") == [start + i * PERIOD for i in range(4)]  # joints at every step


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"representation": ActionChunk.JOINT_POSITION}, "representation 1 is not OSC_POSE_DELTA"),
        ({"units": ["mm"] * 7}, "units are mm"),
        ({"names": ["q"] * 7}, "names are q"),
    ],
)
def test_a_chunk_that_speaks_of_other_actions_is_refused(graph, heard, forget, speak, changes, said):
    reset = graph.call(ResetEpisode, topics.RESET_EPISODE, **SCENE)
    speak(chunk(reset.episode, to_ns(reset.stamp), **changes))
    graph.wait(lambda: any(said in m.status[0].message for m in heard["diagnostics"]), "the refusal")
    assert not [m for m in heard["executed"] if m.episode == reset.episode]


def test_without_a_chunk_the_observation_is_sent_again_with_what_led_to_it(graph, heard, forget):
    reset = graph.call(ResetEpisode, topics.RESET_EPISODE, **SCENE)
    graph.call(Step, topics.STEP, action=[0.0] * 6 + [-1.0])
    now = to_ns(reset.stamp) + PERIOD
    graph.wait(lambda: stamps(heard["wrist"]).count(now) >= 2, "the same observation a second time")
    same = [m for m in heard["wrist"] if to_ns(m.header.stamp) == now]
    assert same[0].data == same[1].data
    executed = lambda: [m for m in heard["executed"] if m.episode == reset.episode]  # noqa: E731
    graph.wait(lambda: len(executed()) >= 2, "the action a second time")
    assert executed()[0] == executed()[1]


def run_episode(graph, **changes):
    client = ActionClient(graph.node, RunEpisode, topics.RUN_EPISODE)
    graph.wait(client.server_is_ready, topics.RUN_EPISODE)
    sent = client.send_goal_async(RunEpisode.Goal(**{**SCENE, **changes}))
    graph.wait(sent.done, "the goal's acceptance")
    goal = sent.result()
    return client, goal, goal.get_result_async()


def test_an_episode_that_nobody_drives_is_aborted_with_a_reason(graph, bridge):
    client, _, finished = run_episode(graph, bag="x/y")
    graph.wait(finished.done, "the outcome")
    answer = finished.result()
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.outcome == "aborted" and "no chunk came for 3 s" in answer.result.reason
    assert answer.result.bag == "x/y"
    client.destroy()


def test_an_episode_can_be_cancelled_and_the_next_one_runs(graph, heard, forget, speak):
    client, goal, finished = run_episode(graph)
    graph.wait(lambda: heard["episode"] and heard["episode"][-1].phase == EpisodeStatus.RUNNING, "the episode")
    first = heard["episode"][-1].episode
    cancelled = goal.cancel_goal_async()
    graph.wait(lambda: cancelled.done() and finished.done(), "the cancellation")
    assert finished.result().status == GoalStatus.STATUS_CANCELED
    assert (finished.result().result.outcome, finished.result().result.reason) == ("aborted", "cancelled")
    client.destroy()

    client, _, finished = run_episode(graph, max_steps=3)
    graph.wait(lambda: heard["episode"][-1].episode == first + 1, "the second episode")
    status = heard["episode"][-1]
    speak(chunk(status.episode, to_ns(status.header.stamp)))
    graph.wait(finished.done, "the outcome")
    result = finished.result().result
    assert (result.outcome, result.steps, result.success) == ("timeout", 3, False)
    graph.wait(lambda: heard["episode"][-1].phase == EpisodeStatus.TIMEOUT, "the latched outcome")
    assert heard["episode"][-1].action_hash == result.action_hash
    client.destroy()


def test_an_emergency_stop_holds_the_simulated_arm_until_reset(graph, heard, forget):
    graph.call(ResetEpisode, topics.RESET_EPISODE, **SCENE)
    action = [0.3, -0.2, 0.1, 0.0, 0.0, 0.1, 1.0]
    assert graph.call(Step, topics.STEP, action=action).success
    assert graph.call(Trigger, topics.EMERGENCY_STOP).success
    assert graph.call(Step, topics.STEP, action=action).success
    assert graph.call(Trigger, topics.RESET_SAFETY).success
    assert graph.call(Step, topics.STEP, action=action).success
    graph.wait(lambda: len({m.step for m in heard["executed"]}) == 3, "three actions")
    before, held, after = sorted({m.step: m for m in heard["executed"]}.values(), key=lambda m: m.step)
    assert list(before.values) == list(after.values) == action
    assert list(held.values) == [0.0] * 6 + [1.0]  # stands, and keeps what it has in its hand
    assert (held.source, held.reason) == (ExecutedAction.SOURCE_HOLD, "safety: estop")
