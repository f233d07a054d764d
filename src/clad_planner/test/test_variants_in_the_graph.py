"""Exported variants through both nodes over real DDS: foresights and chunks are the library's, bit for bit."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from fed_robot import CONTRACT, Robot, observation
from tiny_variants import write_tiny_variant

from clad.export.variants import derive_bundle
from clad.runtime.planner import Planner
from clad.runtime.policy import Policy
from clad.runtime.types import FORESIGHT_ARRAYS
from clad_interfaces.msg import ActionChunk, LatentForesight
from clad_ros import topics
from clad_ros.convert import chunk_values, foresight_from_message
from clad_ros.testing import open_graph

pytestmark = pytest.mark.timeout(300)  # a shared machine may be slow to start a node

OBSERVATIONS, EVERY = 4, 3
AGAIN = 2.0  # s of wall time


def act_through_nodes(graph, model: str, precision: str, fused: bool) -> list[tuple[LatentForesight, ActionChunk]]:
    """A foresight and a chunk for each of OBSERVATIONS, EVERY steps apart."""
    graph.start("clad_planner", "planner_node", "planner", model=model, precision=precision)
    graph.start("clad_policy", "policy_node", "policy", model=model, precision=precision, fused=fused)
    robot = Robot(graph)
    foresights = graph.collect(LatentForesight, topics.LATENT_FORESIGHT, topics.INFERENCE_QOS)
    chunks = graph.collect(ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS)
    robot.begin()
    answers = []
    for i in range(OBSERVATIONS):
        answers.append(answer(graph, robot, i * EVERY, foresights, chunks))
        for step in range(i * EVERY, (i + 1) * EVERY):
            robot.execute(step, np.full(7, step / 20))
    return answers


def answer(graph, robot, step: int, foresights: list, chunks: list) -> tuple[LatentForesight, ActionChunk]:
    """What the nodes make of an observation, which is sent until a chunk comes, as the sim bridge does: the nodes may not
    have found each other yet."""
    sent = -math.inf

    def pairs() -> list[tuple[LatentForesight, ActionChunk]]:
        nonlocal sent
        if time.monotonic() - sent > AGAIN:
            sent = time.monotonic()
            robot.observe(observation(step))
        return [(f, c) for f in foresights if f.step == step for c in chunks if c.foresight_seq == f.seq]

    graph.wait(pairs, f"the chunk of step {step}")
    return pairs()[0]


def check(bundle, precision: str = "fp32", fused: bool = False) -> None:
    """The same observations through the nodes and in this process."""
    planner = Planner(bundle, CONTRACT, precision=precision)
    policy = Policy(bundle, CONTRACT, precision=precision, fused=fused)
    planner.reset("put the book in", 4)
    with open_graph() as graph:
        seen = act_through_nodes(graph, str(bundle.path), precision, fused)
    for i, (foresight, chunk) in enumerate(seen):
        expected = planner.plan(observation(i * EVERY))
        for name in FORESIGHT_ARRAYS:
            got = getattr(foresight_from_message(foresight), name)
            assert np.array_equal(got, getattr(expected, name)), (name, i)
        assert chunk_values(chunk, CONTRACT).tobytes() == policy.act(expected).values.tobytes()
        assert foresight.model_id == chunk.model_id == bundle.id and chunk.foresight_seq == foresight.seq
        for step in range(i * EVERY, (i + 1) * EVERY):
            planner.executed(step, np.full(7, step / 20))
    values = [chunk_values(chunk, CONTRACT) for _, chunk in seen]
    assert all(np.ptp(v) > 0 for v in values) and not np.array_equal(values[0], values[-1])


@pytest.mark.parametrize(
    "variant", ["lbp", *(pytest.param(n, marks=pytest.mark.slow) for n in ("policy-only", "p-foresight", "clad"))]
)
def test_a_variant_acts_as_in_process(tmp_path, variant):
    check(write_tiny_variant(tmp_path, variant))


def test_int8_networks_and_a_fused_sampler_act_as_in_process(tmp_path):
    plain = write_tiny_variant(tmp_path, "clad")
    bundle = derive_bundle(plain, "quick", tmp_path, precisions=("int8",), fused=True)
    check(bundle, precision="int8", fused=True)


@pytest.mark.parametrize(
    ("node", "parameters", "option"),
    [
        ("planner", {"precision": "int8"}, "--precision int8"),
        ("policy", {"precision": "fp16"}, "--precision fp16"),
        ("policy", {"fused": True}, "--fused"),
    ],
)
def test_what_a_model_was_not_exported_with_is_refused_with_the_remedy(tiny_model, node, parameters, option):
    with open_graph() as graph:
        process = graph.start(f"clad_{node}", f"{node}_node", model=str(tiny_model), **parameters)
        graph.wait(lambda: process.popen.poll() is not None, "the node to end")
        assert process.popen.returncode == 1
        assert process.output.splitlines()[-1].startswith(f"{node}: model 'tiny' has no ")
        assert f"clad export --from {tiny_model} --name tiny {option}" in process.output
