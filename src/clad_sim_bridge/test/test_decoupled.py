"""Free-run on real LIBERO with pictures drawn beside the steps, and simulated time that cannot keep up."""

from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState

from clad.contract import load_contract
from clad_interfaces.msg import ActionChunk, ExecutedAction
from clad_interfaces.srv import ResetEpisode
from clad_ros import topics
from clad_ros.convert import _floats
from clad_ros.stamps import duration_msg, time_msg, to_ns

pytestmark = pytest.mark.timeout(300)

CONTRACT = load_contract("libero")
PERIOD = 50_000_000


def long_chunk(episode: int, start: int, steps: int = 1000) -> ActionChunk:
    """One that has a step for as long as the episode lasts."""
    message = ActionChunk(
        seq=1, episode=episode, obs_stamp=time_msg(start), step_dt=duration_msg(PERIOD),
        names=list(CONTRACT.action.names), units=list(CONTRACT.action.units),
        representation=ActionChunk.OSC_POSE_DELTA, steps=steps,
        values=_floats(np.zeros((steps, 7))), valid_until=time_msg(start + steps * PERIOD),
    )  # fmt: skip
    message.header.stamp = time_msg(start)
    return message


def test_decoupled_pictures_bear_the_time_of_their_state_and_slow_simulated_time_is_told(graph):
    """A factor that no machine reaches: steps go as fast as they can, pictures cannot follow, and both are said."""
    wanted = 50.0
    graph.start(
        "clad_sim_bridge", "sim_bridge_node", "sim_bridge",
        suite="libero_10", task=5, mode="free-run", visuals="fast", execute_steps=3, render="decoupled",
        real_time_factor=wanted,
    )  # fmt: skip
    seen: dict[str, list[int]] = {"clock": [], "joints": [], "agentview": [], "wrist": []}
    executed: list[ExecutedAction] = []

    def note(name, stamp_of=lambda m: m.header.stamp):
        return lambda m: seen[name].append(to_ns(stamp_of(m)))

    subscribe = graph.node.create_subscription
    subscribe(Clock, topics.CLOCK, note("clock", lambda m: m.clock), 1000)
    subscribe(ExecutedAction, topics.EXECUTED_ACTION, executed.append, 1000)
    subscribe(JointState, topics.JOINT_STATES, note("joints"), 1000)
    behind: list[int] = []  # how far the joints were when a picture came
    for camera in ("agentview", "wrist"):
        subscribe(Image, topics.image_topic(camera), note(camera), 1000)
    subscribe(
        Image,
        topics.image_topic("wrist"),
        lambda m: behind.append(max(seen["joints"], default=0) - to_ns(m.header.stamp)),
        1000,
    )
    health = graph.collect(DiagnosticArray, topics.DIAGNOSTICS, topics.DIAGNOSTICS_QOS)
    speak = graph.publisher(ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS).publish

    def told():
        return [s for m in health for s in m.status if s.name == "sim_bridge"]

    def values():
        return {v.key: v.value for s in told() for v in s.values}

    reset = graph.call(ResetEpisode, topics.RESET_EPISODE, suite="libero_10", task=5, protocol="exact")
    assert reset.success, reset.message
    start = to_ns(reset.stamp)
    speak(long_chunk(reset.episode, start))
    words = f"episode {reset.episode} runs, slower than the real-time factor {wanted:g} asked for"
    graph.wait(lambda: any(s.message == words and s.level == DiagnosticStatus.WARN for s in told()), "the warning")
    assert 0 < float(values()["real_time_factor"]) < wanted
    graph.wait(lambda: int(values().get("images_superseded", 0)) > 0, "pictures that were left out")
    assert float(values()["image_age_ms"].split(" / ")[1]) > 0
    # simulated time is what was simulated: the start, and one period for every step that was executed
    pictures, clock = {camera: list(seen[camera]) for camera in ("agentview", "wrist")}, max(seen["clock"])
    graph.wait(lambda: to_ns(executed[-1].header.stamp) + PERIOD >= clock, "the step that made it so late")
    assert all(to_ns(m.header.stamp) == start + m.step * PERIOD for m in executed)
    graph.wait(lambda: seen["joints"][-1] >= max(map(max, pictures.values())), "the joints of the last picture's time")
    assert np.median(behind) >= PERIOD  # steps did not wait, and the stamp owns up to it
    for stamps in pictures.values():
        assert len(stamps) > 3 and (np.diff(stamps) > 0).all() and not ((np.array(stamps) - start) % PERIOD).any()
        assert len(stamps) < len(seen["joints"])
