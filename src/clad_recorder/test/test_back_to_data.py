"""A person at the real simulator, recorded over DDS in one long bag: demonstrations and corrections become training data."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "clad" / "test"))

from native_bag import write_native_bag  # noqa: E402

from clad.bag.check import check_bag  # noqa: E402
from clad.cli.main import main  # noqa: E402
from clad.contract import load_contract, native_to_wire  # noqa: E402
from clad.data.rosbag import Told, read_episode  # noqa: E402
from clad.data.sources import find_sources  # noqa: E402
from clad_interfaces.msg import ActionChunk, ExecutedAction  # noqa: E402
from clad_interfaces.srv import ResetEpisode, StartRecording, Step, StopRecording  # noqa: E402
from clad_ros import topics  # noqa: E402
from clad_ros.stamps import duration_msg, time_msg, to_ns  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONTRACT = load_contract("libero")
PERIOD, EXECUTE = 50_000_000, 3
SCENE = {"suite": "libero_10", "task": 5, "seed": 0, "protocol": "exact"}
TOLD = Told(outcome="success")


def command(rng) -> np.ndarray:
    """A small motion, the hand open."""
    return np.append(rng.uniform(-0.3, 0.3, 6), -1.0)


def chunk(episode: int, stamp: int, actions: np.ndarray) -> ActionChunk:
    message = ActionChunk(
        seq=1, episode=episode, obs_stamp=time_msg(stamp), step_dt=duration_msg(PERIOD),
        names=list(CONTRACT.action.names), units=list(CONTRACT.action.units),
        representation=ActionChunk.OSC_POSE_DELTA, steps=len(actions),
        values=native_to_wire(actions, CONTRACT.action).astype(np.float32).ravel().tolist(),
        valid_until=time_msg(stamp + 6 * PERIOD),
    )  # fmt: skip
    message.header.stamp = time_msg(stamp)
    return message


@pytest.fixture(scope="module")
def session(graph, tmp_path_factory):
    """The bag, and what was commanded by hand in each of its two episodes: a policy corrected, then a demonstration."""
    root = tmp_path_factory.mktemp("session")
    graph.start("clad_recorder", "recorder_node", "recorder", root=str(root))
    graph.start(
        "clad_sim_bridge", "sim_bridge_node", "sim_bridge",
        suite="libero_10", task=5, visuals="fast", execute_steps=EXECUTE, chunk_timeout=60.0,
    )  # fmt: skip
    speak = graph.publisher(ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS)
    executed = graph.collect(ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS)
    rng, by_hand = np.random.default_rng(0), ([], [])

    def drive(steps: int, into: list) -> None:
        for _ in range(steps):
            into.append(command(rng))
            assert graph.call(Step, topics.STEP, action=into[-1].tolist()).success

    assert graph.call(StartRecording, topics.START_RECORDING, uri="long", metadata_keys=[], metadata_values=[]).success
    first = graph.call(ResetEpisode, topics.RESET_EPISODE, init_index=0, **SCENE)
    assert first.success, first.message
    speak.publish(chunk(first.episode, to_ns(first.stamp), np.stack([command(rng) for _ in range(2 * EXECUTE)])))
    graph.wait(lambda: len(executed) == EXECUTE, "the policy's steps")
    drive(6, by_hand[0])
    assert graph.call(ResetEpisode, topics.RESET_EPISODE, init_index=1, **SCENE).success
    drive(8, by_hand[1])
    graph.wait(lambda: len(executed) == EXECUTE + 6 + 8, "every step")
    assert graph.call(StopRecording, topics.STOP_RECORDING).success
    return root / "long", tuple(np.stack(actions) for actions in by_hand)


def test_corrections_and_demonstrations_are_what_was_commanded(session):
    bag, (correction, demonstration) = session
    one = read_episode(bag, "episode_0", CONTRACT, TOLD)
    assert one.meta["outcome"] == "aborted" and one.meta["corrections"] == len(correction)
    assert np.flatnonzero(one.label_valid).tolist() == list(range(EXECUTE, EXECUTE + len(correction)))
    assert np.array_equal(one.expert[EXECUTE:], correction)
    two = read_episode(bag, "episode_1", CONTRACT, TOLD)
    assert np.array_equal(two.expert, demonstration) and two.label_valid.all() and "corrections" not in two.meta
    assert two.image_valid.all() and two.images["wrist"].std() > 10  # a look after each step, and something to see
    assert not read_episode(bag, "episode_1", CONTRACT).label_valid.any()  # nobody said that it was a success


def test_the_check_says_what_it_is_good_for(session):
    found = check_bag(session[0], CONTRACT, TOLD)
    assert (found.episodes, found.steps, found.imitable) == (2, 17, 14)
    assert found.good_for("report") and found.good_for("training") and not found.good_for("replay")
    assert {str(finding) for finding in found.findings if finding.spoils} == {"/latent_foresight is missing"}


def test_it_goes_back_into_data_natively_recorded_or_not(session, tmp_path):
    native = write_native_bag(session[0], tmp_path / "native", files=3)
    written = []
    for bag, out in ((session[0], tmp_path / "a"), (native, tmp_path / "b")):
        assert main(["bag", "to-libero", str(bag), "--out", str(out), "--outcome", "success"]) == 0
        written.append([source.read(CONTRACT) for source in find_sources(out)])
    for one, two in zip(*written, strict=True):
        assert np.array_equal(one.executed, two.executed) and np.array_equal(one.label_valid, two.label_valid)
        assert all(np.array_equal(one.images[camera], two.images[camera]) for camera in CONTRACT.cameras)
    assert [int(episode.label_valid.sum()) for episode in written[0]] == [6, 8]
    assert main(["bag", "to-lerobot", str(native), "--out", str(tmp_path / "lr"), "--outcome", "success"]) == 0
    info = json.loads((tmp_path / "lr" / "meta" / "info.json").read_text())
    assert info["total_episodes"] == 2 and info["clad_contract"]["name"] == "libero"
