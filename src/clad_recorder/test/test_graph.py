"""The shipped model solves its task through the whole graph on real LIBERO, bit for bit as directly in this process."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from clad.bag.live import disagreements
from clad.bag.recording import read_recording
from clad.bag.remade import Remade
from clad.bag.replay import replay
from clad.contract import load_contract
from clad.eval.schema import validate
from clad.runtime.bundle import load_bundle
from clad.runtime.planner import Planner
from clad.runtime.policy import Policy
from clad.sim.libero_env import LiberoEnv
from clad.sim.rollout import run_episode
from clad_interfaces.msg import EpisodeStatus, ExecutedAction
from clad_recorder.bag import is_complete, read_metadata
from clad_recorder.episode_report import decoded, frames
from clad_ros import topics

pytestmark = pytest.mark.timeout(400)

CONTRACT = load_contract("libero")
SUITE, TASK, INIT, SEED = "libero_10", 5, 3, 21
MODEL = Path(__file__).parents[3] / "models" / "clad-libero10-book"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def nodes(graph, out):
    model = {"model": str(MODEL)}
    graph.start("clad_recorder", "recorder_node", "recorder", root=str(out))
    graph.start("clad_recorder", "monitor_node", "monitor")
    graph.start("clad_policy", "policy_node", "policy", **model)
    graph.start("clad_planner", "planner_node", "planner", **model)
    graph.start("clad_sim_bridge", "sim_bridge_node", "sim_bridge", suite=SUITE, task=TASK, **model)


def runner(graph, out, **parameters):
    process = graph.start(
        "clad_recorder", "episode_runner_node",
        **{"model": str(MODEL), "suite": SUITE, "task": TASK, "init": INIT, "seed": SEED, "out": str(out), **parameters},
    )  # fmt: skip
    graph.wait(lambda: process.popen.poll() is not None, "the runner to end", timeout=200)
    return process


@pytest.fixture(scope="module")
def row(graph, nodes, out):
    """The graph's row for the episode."""
    process = runner(graph, out)
    assert process.popen.returncode == 0, process.output
    body = json.loads((out / "result.json").read_text())
    validate(body)
    (row,) = body["episodes"]
    assert row["outcome"] == "success", process.output
    assert "1/1" in process.output  # the summary
    return row


@pytest.fixture(scope="module")
def direct():
    """The same episode without ROS, with the images that were planned on."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    bundle = load_bundle(MODEL)
    seen = {}

    class Watched(Planner):
        def plan(self, observation):
            seen[observation.step] = observation.images
            return super().plan(observation)

    with LiberoEnv(SUITE, TASK) as env:
        result = run_episode(
            env,
            Watched(bundle, CONTRACT),
            Policy(bundle, CONTRACT),
            init_index=INIT,
            seed=SEED,
            protocol="exact",
            execute_steps=bundle.execute_steps,
            max_steps=env.max_steps,
        )
    return result, seen, bundle


def test_the_lockstep_graph_equals_the_direct_rollout_bit_for_bit(row, direct, out):
    result, seen, bundle = direct
    assert row["scene_hash"] == result.scene_hash
    assert row["action_hash"] == result.action_hash
    assert row["state_hash"] == result.state_hash
    assert (row["steps"], row["success"]) == (result.steps, result.success)
    recorded = frames(out / row["bag"], CONTRACT)
    planned = range(0, result.steps, bundle.execute_steps)
    assert sorted(recorded) == [*planned, result.steps]
    assert sorted(seen) == list(planned)
    for step, images in seen.items():
        for camera in CONTRACT.cameras:
            assert np.array_equal(recorded[step][camera], images[camera]), (step, camera)
    assert not np.array_equal(recorded[0]["agentview"], recorded[result.steps]["agentview"])  # the robot did move


def test_the_bag_tells_the_whole_story(row, out, direct):
    bag, (result, _, bundle) = out / row["bag"], direct
    assert is_complete(bag)
    metadata = read_metadata(bag)
    assert metadata["model_sha256"] == bundle.sha256 and metadata["contract_hash"] == CONTRACT.hash
    assert (metadata["suite"], metadata["task"], metadata["seed"], metadata["protocol"]) == (SUITE, "5", "21", "exact")
    executed = [message for message, _ in decoded(bag, topics.EXECUTED_ACTION)]
    assert [m.step for m in executed] == list(range(result.steps))
    assert all(m.source == ExecutedAction.SOURCE_CHUNK for m in executed)
    phases = [message.phase for message, _ in decoded(bag, topics.EPISODE)]
    assert phases == [EpisodeStatus.RUNNING, EpisodeStatus.SUCCESS]
    plans = -(-result.steps // bundle.execute_steps)
    assert len(list(decoded(bag, topics.LATENT_FORESIGHT))) == len(list(decoded(bag, topics.ACTION_CHUNK))) == plans
    assert row["timing"]["compute"]["n"] == plans and row["timing"]["dropped_messages"] == 0
    assert 0 < row["timing"]["ros_share"]["p50_ms"] < row["timing"]["chunk_latency"]["p50_ms"]
    assert row["timing"]["gl_backend"] in ("egl", "osmesa")
    assert (out / row["video"]).stat().st_size > 5000


def test_the_figures_told_live_are_those_of_the_bag(row, out):
    bag = out / row["bag"]
    ((told, _),) = decoded(bag, topics.EPISODE_FIGURES)
    (episode,) = read_recording(bag).episodes
    assert disagreements({item.key: item.value for item in told.figures}, episode.figures) == []
    assert (told.episode, told.outcome) == (episode.figures.episode, "success")
    assert told.foresight_cosine == episode.figures.foresight["cosine_p50"]
    assert told.observation_age == episode.figures.observation_age["p50_ms"] / 1e3 and told.hold_time == 0.0
    told.figures[list(asdict(episode.figures)).index("steps")].value = str(row["steps"] + 1)
    assert disagreements({item.key: item.value for item in told.figures}, episode.figures) == ["steps"]


def test_the_recording_replays_bit_for_bit(row, out):
    bag = out / row["bag"]
    found = replay(bag, Remade.of(bag, model=str(MODEL)))
    assert found.repeats and found.mode == "lockstep"
    assert found.foresights.equal == found.chunks.equal == -(-row["steps"] // 6)


def test_resume_runs_only_what_is_missing(graph, row, out):
    process = runner(graph, out, episodes=2, resume=True, json=str(out / "copy.json"))
    assert process.popen.returncode == 0, process.output
    assert "1 of 2 episodes are done" in process.output
    body = json.loads((out / "result.json").read_text())
    assert [(r["init_index"], r["seed"]) for r in body["episodes"]] == [(INIT, SEED), (INIT + 1, SEED + 1)]
    assert body["episodes"][0] == row
    assert json.loads((out / "copy.json").read_text()) == body


def test_a_result_is_not_overwritten_nor_mixed_with_another_step_limit(graph, row, out):
    process = runner(graph, out)
    assert process.popen.returncode == 2 and "--resume" in process.output
    process = runner(graph, out, resume=True, max_steps=6)
    assert process.popen.returncode == 2 and "Go on with the --max-steps of the first run" in process.output
