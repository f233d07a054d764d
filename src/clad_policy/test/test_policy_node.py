"""The policy node over real DDS: one chunk per foresight, equal to the library's, and none for another model's."""

from __future__ import annotations

import dataclasses

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from clad.contract import load_contract
from clad.runtime.bundle import load_bundle
from clad.runtime.policy import Policy
from clad.runtime.types import Foresight
from clad_interfaces.msg import ActionChunk, LatentForesight
from clad_ros import topics
from clad_ros.convert import chunk_values, foresight_to_message
from clad_ros.stamps import SECOND, to_ns

pytestmark = pytest.mark.timeout(300)  # a shared machine may be slow to start a node

CONTRACT = load_contract("libero")


@pytest.fixture(scope="module")
def bundle(tiny_model):
    return load_bundle(tiny_model)


@pytest.fixture(scope="module")
def policy(graph, tiny_model):
    return graph.start("clad_policy", "policy_node", "policy", model=str(tiny_model))


@pytest.fixture(scope="module")
def speak(graph, policy):
    return graph.publisher(LatentForesight, topics.LATENT_FORESIGHT, topics.INFERENCE_QOS).publish


@pytest.fixture(scope="module")
def chunks(graph, policy):
    return graph.collect(ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS)


def message(foresight: Foresight, model: str, seq: int) -> LatentForesight:
    return foresight_to_message(
        foresight, stamp=3 * SECOND, seq=seq, episode=8, horizon=6, model_id=model, contract=CONTRACT
    )


def test_a_chunk_is_the_librarys_for_the_same_foresight(graph, speak, chunks, bundle, foresight):
    expected = Policy(bundle, CONTRACT).act(foresight)
    for seq in (1, 2):
        speak(message(foresight, bundle.id, seq))
        graph.wait(lambda: chunks and chunks[-1].foresight_seq == seq, "the chunk")
        assert chunk_values(chunks[-1], CONTRACT).tobytes() == expected.values.tobytes()
        assert (chunks[-1].episode, to_ns(chunks[-1].obs_stamp)) == (8, 3 * SECOND)
    other = dataclasses.replace(foresight, seed=12)
    speak(message(other, bundle.id, 3))
    graph.wait(lambda: chunks[-1].foresight_seq == 3, "the chunk of another seed")
    assert chunk_values(chunks[-1], CONTRACT).tobytes() != expected.values.tobytes()


def test_a_foresight_of_another_model_gives_a_reason_and_no_chunk(graph, speak, chunks, bundle, foresight):
    seen = graph.collect(DiagnosticArray, topics.DIAGNOSTICS, topics.DIAGNOSTICS_QOS)
    speak(message(foresight, "other@123456789012", 50))
    graph.wait(lambda: any("other@123456789012" in m.status[0].message for m in seen), "the refusal")
    speak(message(foresight, bundle.id, 51))
    graph.wait(lambda: chunks[-1].foresight_seq == 51, "the chunk after it")
    assert all(c.foresight_seq != 50 for c in chunks)
    graph.wait(lambda: seen[-1].status[0].level == DiagnosticStatus.OK, "the all-clear")


def test_what_piles_up_is_left_out_and_counted(graph, speak, chunks, bundle, foresight):
    """Foresights faster than chunks can be made: the newest acts, the others are counted."""
    seen = graph.collect(DiagnosticArray, topics.DIAGNOSTICS, topics.DIAGNOSTICS_QOS)
    told = lambda: {v.key: v.value for m in seen for s in m.status if s.name == "policy" for v in s.values}  # noqa: E731
    for seq in range(100, 400):
        speak(message(foresight, bundle.id, seq))
    graph.wait(lambda: chunks[-1].foresight_seq == 399, "the newest chunk")
    graph.wait(lambda: int(told().get("foresights_dropped", 0)) > 0, "the count")
    p50, p95 = map(float, told()["queue_age_ms"].split(" / "))
    assert 0 <= p50 <= p95
