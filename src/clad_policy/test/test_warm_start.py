"""Warm-started denoising over real DDS: the node knows the same chunk before as a loop in one process."""

from __future__ import annotations

import dataclasses

import pytest

from clad.contract import load_contract
from clad.runtime.bundle import load_bundle
from clad.runtime.policy import Policy
from clad.runtime.types import Chunk
from clad_interfaces.msg import ActionChunk, LatentForesight
from clad_ros import topics
from clad_ros.convert import chunk_values, foresight_to_message
from clad_ros.stamps import SECOND, control_period_ns

pytestmark = pytest.mark.timeout(300)

CONTRACT = load_contract("libero")
PERIOD = control_period_ns(CONTRACT)


def test_a_warm_start_begins_at_the_last_chunk_as_it_does_in_process(graph, tiny_model, foresight):
    bundle = load_bundle(tiny_model)
    sampling = {"warm_start": True, "sample_steps": 4}
    policy = Policy(bundle, CONTRACT, **sampling)
    graph.start("clad_policy", "policy_node", "policy", model=str(tiny_model), **sampling)
    speak = graph.publisher(LatentForesight, topics.LATENT_FORESIGHT, topics.INFERENCE_QOS).publish
    chunks = graph.collect(ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS)
    last: dict[int, Chunk] = {}
    # one observation after another, one again because its chunk was lost, one too far on, another episode
    for seq, (episode, step, before) in enumerate(
        [(8, 0, None), (8, 3, 0), (8, 3, 0), (8, 5, 3), (8, 11, 5), (9, 1, None), (9, 2, 1)], 1
    ):
        seen = dataclasses.replace(foresight, step=step)
        speak(
            foresight_to_message(
                seen, stamp=3 * SECOND + step * PERIOD, seq=seq, episode=episode, horizon=6,
                model_id=bundle.id, contract=CONTRACT,
            )
        )  # fmt: skip
        graph.wait(lambda seq=seq: chunks and chunks[-1].foresight_seq == seq, f"chunk {seq}")
        expected = policy.act(seen, previous=None if before is None else last[before])
        assert chunk_values(chunks[-1], CONTRACT).tobytes() == expected.values.tobytes(), (episode, step)
        last[step] = expected
