"""Real-time chunking over real DDS: from what was executed the policy learns how late its chunks are, and continues them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock

from clad.contract import load_contract
from clad.runtime.bundle import load_bundle
from clad.runtime.execution.latency import WARM_UP
from clad.runtime.execution.rtc import carry_over
from clad.runtime.policy import Policy
from clad.runtime.types import Chunk
from clad_interfaces.msg import ActionChunk, ExecutedAction, LatentForesight
from clad_ros import topics
from clad_ros.convert import chunk_values, foresight_to_message
from clad_ros.stamps import SECOND, control_period_ns, time_msg, to_ns

pytestmark = pytest.mark.timeout(300)

CONTRACT = load_contract("libero")
PERIOD = control_period_ns(CONTRACT)


def test_a_chunk_continues_the_last_one_by_the_latency_that_was_measured(graph, tiny_model, foresight):
    bundle = load_bundle(tiny_model)
    graph.start("clad_policy", "policy_node", "policy", model=str(tiny_model), execution="rtc", use_sim_time=True)
    speak = graph.publisher(LatentForesight, topics.LATENT_FORESIGHT, topics.INFERENCE_QOS).publish
    execute = graph.publisher(ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS).publish
    chunks = graph.collect(ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS)
    health = graph.collect(DiagnosticArray, topics.DIAGNOSTICS, topics.DIAGNOSTICS_QOS)
    policy = Policy(bundle, CONTRACT)
    now = time_msg(3 * SECOND + 10 * PERIOD)
    clock = graph.publisher(Clock, topics.CLOCK, topics.CLOCK_QOS)

    def knows_the_time() -> bool:
        clock.publish(Clock(clock=now))  # best effort at the other end: until it is heard
        return bool(health) and health[-1].header.stamp == now

    graph.wait(knows_the_time, "the policy to know the time")

    def told(key):
        return [v.value for m in health for s in m.status if s.name == "policy" for v in s.values if v.key == key]

    def chunk(step, episode=8):
        stamp = 3 * SECOND + step * PERIOD
        made = dataclasses.replace(foresight, step=step)
        known = len(chunks)
        speak(
            foresight_to_message(
                made, stamp=stamp, seq=1 + step, episode=episode, horizon=6, model_id=bundle.id, contract=CONTRACT
            )
        )
        graph.wait(lambda: len(chunks) > known, f"the chunk of step {step}")
        assert to_ns(chunks[-1].obs_stamp) == stamp
        return made, chunk_values(chunks[-1], CONTRACT)

    for step in range(WARM_UP + 1):  # what was executed has told of no latency yet: a function of the foresight
        made, values = chunk(step)
        assert values.tobytes() == policy.act(made).values.tobytes()
        late = ExecutedAction(episode=8, step=step + 2, chunk_seq=chunks[-1].seq, source=ExecutedAction.SOURCE_CHUNK)
        late.header.stamp = time_msg(to_ns(chunks[-1].obs_stamp) + 2 * PERIOD)
        execute(late)
    graph.wait(lambda: "100.0 / 100.0" in told("latency_total_ms") or chunk(step) is None, "the estimate")
    assert told("latency_plan_ms")[0] == "350.0 / 350.0"  # after warm-up the first: captured at step 3, heard at 10
    last = chunk_values(chunks[-1], CONTRACT)
    made, values = chunk(step + 1)
    assert np.array_equal(values[:2], last[1:3])  # two steps are frozen
    expected = policy.act(made, carry_over(Chunk(step=step, values=last, policy_latency=0.0), step + 1, 2))
    assert values.tobytes() == expected.values.tobytes()
    graph.wait(lambda: "2" in told("frozen_steps"), "the frozen steps in /diagnostics")
    made, values = chunk(step + 2, episode=9)  # another episode continues nothing
    assert values.tobytes() == policy.act(made).values.tobytes()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"execution": "rct"}, "Did you mean rtc"),
        ({"execution": "rtc", "fused": True}, "Leave out fused"),
        ({"sample_steps": 101}, "101 sampling steps of 100 training steps"),
        ({"sample_steps": 1, "warm_start": True}, "Take 2 or more"),
    ],
)
def test_what_cannot_be_is_refused_at_configure(graph, tiny_model, parameters, said):
    process = graph.start("clad_policy", "policy_node", model=str(tiny_model), **parameters)
    assert process.popen.wait(60) == 2 and said in process.output
