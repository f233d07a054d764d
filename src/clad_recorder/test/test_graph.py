"""The whole graph on real LIBERO in lock-step, held against the same episode run directly in this process."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from clad.contract import load_contract
from clad.eval.result import validate
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
SUITE, TASK, INIT, SEED, MAX_STEPS = "libero_10", 5, 3, 21, 45


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def nodes(graph, tiny_model, out):
    model = {"model": str(tiny_model)}
    graph.start("clad_recorder", "recorder_node", "recorder", root=str(out))
    graph.start("clad_policy", "policy_node", "policy", **model)
    graph.start("clad_planner", "planner_node", "planner", **model)
    graph.start("clad_sim_bridge", "sim_bridge_node", "sim_bridge", suite=SUITE, task=TASK, **model)


def runner(graph, tiny_model, out, **parameters):
    process = graph.start(
        "clad_recorder", "episode_runner_node",
        **{"model": str(tiny_model), "suite": SUITE, "task": TASK, "init": INIT, "seed": SEED, "max_steps": MAX_STEPS,
           "out": str(out), **parameters},
    )  # fmt: skip
    graph.wait(lambda: process.popen.poll() is not None, "the runner to end", timeout=200)
    return process


@pytest.fixture(scope="module")
def row(graph, nodes, tiny_model, out):
    """The graph's row for the episode."""
    process = runner(graph, tiny_model, out)
    assert process.popen.returncode == 0, process.output
    body = json.loads((out / "result.json").read_text())
    validate(body)
    (row,) = body["episodes"]
    assert row["outcome"] == "timeout", process.output
    assert "timeout" in process.output and "0/1" in process.output  # the table's row and the summary
    return row


@pytest.fixture(scope="module")
def direct(tiny_model):
    """The same episode without ROS, with the images that were planned on."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    bundle = load_bundle(tiny_model)
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
            max_steps=MAX_STEPS,
        )
    return result, seen, bundle


def test_the_lockstep_graph_equals_the_direct_rollout_bit_for_bit(row, direct, out):
    result, seen, bundle = direct
    assert row["scene_hash"] == result.scene_hash
    assert row["action_hash"] == result.action_hash
    assert row["state_hash"] == result.state_hash
    assert (row["steps"], row["success"]) == (result.steps, result.success) == (MAX_STEPS, False)
    recorded = frames(out / row["bag"], CONTRACT)
    assert sorted(recorded) == list(range(0, MAX_STEPS + 1, bundle.execute_steps))
    assert sorted(seen) == list(range(0, MAX_STEPS, bundle.execute_steps))
    for step, images in seen.items():
        for camera in CONTRACT.cameras:
            assert np.array_equal(recorded[step][camera], images[camera]), (step, camera)
    assert not np.array_equal(recorded[0]["agentview"], recorded[MAX_STEPS]["agentview"])  # the robot did move


def test_the_bag_tells_the_whole_story(row, out, direct):
    bag, bundle = out / row["bag"], direct[2]
    assert is_complete(bag)
    metadata = read_metadata(bag)
    assert metadata["model_sha256"] == bundle.sha256 and metadata["contract_hash"] == CONTRACT.hash
    assert (metadata["suite"], metadata["task"], metadata["seed"], metadata["protocol"]) == (SUITE, "5", "21", "exact")
    executed = [message for message, _ in decoded(bag, topics.EXECUTED_ACTION)]
    assert [m.step for m in executed] == list(range(MAX_STEPS))
    assert all(m.source == ExecutedAction.SOURCE_CHUNK for m in executed)
    phases = [message.phase for message, _ in decoded(bag, topics.EPISODE)]
    assert phases == [EpisodeStatus.RUNNING, EpisodeStatus.TIMEOUT]
    plans = MAX_STEPS // bundle.execute_steps
    assert len(list(decoded(bag, topics.LATENT_FORESIGHT))) == len(list(decoded(bag, topics.ACTION_CHUNK))) == plans
    assert row["timing"]["compute"]["n"] == plans and row["timing"]["dropped_messages"] == 0
    assert 0 < row["timing"]["ros_share"]["p50_ms"] < row["timing"]["chunk_latency"]["p50_ms"]
    assert row["timing"]["gl_backend"] in ("egl", "osmesa")
    assert (out / row["video"]).stat().st_size > 5000


def test_resume_runs_only_what_is_missing(graph, row, tiny_model, out):
    process = runner(graph, tiny_model, out, episodes=2, resume=True, max_steps=6, json=str(out / "copy.json"))
    assert process.popen.returncode == 0, process.output
    assert "1 of 2 episodes are done" in process.output
    body = json.loads((out / "result.json").read_text())
    assert [(r["init_index"], r["seed"]) for r in body["episodes"]] == [(INIT, SEED), (INIT + 1, SEED + 1)]
    assert body["episodes"][0] == row
    assert json.loads((out / "copy.json").read_text()) == body


def test_a_result_is_not_overwritten(graph, row, tiny_model, out):
    process = runner(graph, tiny_model, out)
    assert process.popen.returncode == 2 and "--resume" in process.output
