"""Free-run on real LIBERO: the wall clock drives, chunks are sampled at the present time, gaps are held and explained."""

from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray

from clad.contract import load_contract, native_to_wire
from clad_interfaces.msg import ActionChunk, EpisodeStatus, ExecutedAction
from clad_interfaces.srv import ResetEpisode, Step
from clad_ros import topics
from clad_ros.convert import _floats
from clad_ros.stamps import duration_msg, time_msg, to_ns

pytestmark = pytest.mark.timeout(300)

CONTRACT = load_contract("libero")
PERIOD = 50_000_000


def test_free_run_follows_the_clock_and_holds_where_no_chunk_is_valid(graph):
    graph.start(
        "clad_sim_bridge", "sim_bridge_node", "sim_bridge",
        suite="libero_10", task=5, mode="free-run", visuals="fast", execute_steps=3, camera_rate=5.0,
    )  # fmt: skip
    executed = graph.collect(ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS)
    health = graph.collect(DiagnosticArray, topics.DIAGNOSTICS, topics.DIAGNOSTICS_QOS)
    status = graph.collect(EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS)
    speak = graph.publisher(ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS).publish
    reset = graph.call(ResetEpisode, topics.RESET_EPISODE, suite="libero_10", task=5, protocol="exact")
    assert reset.success, reset.message
    graph.wait(lambda: len(executed) >= 3, "steps without any chunk")
    assert all(m.source == ExecutedAction.SOURCE_HOLD and m.reason == "no chunk has arrived yet" for m in executed)
    assert list(executed[0].values) == [0.0] * 6 + [-1.0]

    # every step of this chunk is its own index: what acts must be the step that is due, never one that is over
    start = to_ns(executed[-1].header.stamp) - PERIOD
    values = np.zeros((70, 7))
    values[:, 0] = np.arange(70) / 100
    values[:, 6] = 1.0
    message = ActionChunk(
        seq=77, episode=reset.episode, obs_stamp=time_msg(start), step_dt=duration_msg(PERIOD),
        names=list(CONTRACT.action.names), units=list(CONTRACT.action.units),
        representation=ActionChunk.OSC_POSE_DELTA, steps=70,
        values=_floats(native_to_wire(values, CONTRACT.action)), valid_until=time_msg(start + 70 * PERIOD),
    )  # fmt: skip
    message.header.stamp = time_msg(start)
    speak(message)
    graph.wait(lambda: executed[-1].chunk_seq == 77, "the chunk to act")
    told = lambda: {v.key: v.value for m in health for s in m.status if s.name == "sim_bridge" for v in s.values}  # noqa: E731
    speak(message)  # a bag that is played into the graph
    graph.wait(lambda: told().get("refused_replayed") == "1", "the replay's refusal")
    message.seq, message.model_id = 78, "another@123456789012"
    speak(message)
    words = "chunk refused: action_chunk: another publisher's chunk still acts; if two policies run, stop one"
    graph.wait(lambda: any(s.message == words for m in health for s in m.status), "the second policy's refusal")
    graph.wait(lambda: executed[-1].reason.endswith(("past_end", "expired")), "the end of the chunk")
    from_chunk = [m for m in executed if m.source == ExecutedAction.SOURCE_CHUNK]
    assert from_chunk and all(m.chunk_seq == 77 for m in from_chunk)
    for m in from_chunk:
        due = (to_ns(m.header.stamp) - start) // PERIOD
        assert abs(m.values[0] - due / 100) < 1e-6, due
    assert from_chunk[-1].values[0] == pytest.approx(0.69)  # the last step was executed too
    assert executed[-1].values[6] == 1.0  # a hold keeps the gripper as the last command left it
    steps = [m.step for m in executed]
    assert steps == list(range(len(steps)))  # no control step is skipped or doubled
    assert float(told()["observation_age_ms"].split(" / ")[1]) >= 50 and told()["refused_chunks"] == "1"
    refused = graph.call(Step, topics.STEP, action=[0.0] * 7)
    assert not refused.success and "free-run" in refused.message
    assert status[-1].mode == "free-run" and float(told()["real_time_factor"]) > 0


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"mode": "lockstep", "render": "decoupled"}, "in lock-step each picture is waited for"),
        ({"mode": "free-run", "render": "decupled"}, "Did you mean decoupled"),
    ],
)
def test_rendering_that_cannot_be_is_refused(graph, parameters, said):
    process = graph.start("clad_sim_bridge", "sim_bridge_node", execute_steps=3, **parameters)
    assert process.popen.wait(120) == 2 and said in process.output


def test_a_strategy_that_does_not_exist_is_refused_before_the_simulator_starts(graph):
    process = graph.start("clad_sim_bridge", "sim_bridge_node", mode="free-run", execution="blnd", execute_steps=3)
    graph.wait(lambda: process.popen.poll() is not None, "the node to end")
    assert process.popen.returncode == 2 and "Did you mean blend" in process.output
