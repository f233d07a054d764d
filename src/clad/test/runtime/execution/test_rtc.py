"""Real-time chunking: the mask, what is carried over, and inpainting inside a real sampler."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clad.runtime.ddim import Ddim
from clad.runtime.diffusion import alphas_bar
from clad.runtime.execution.latency import LatencyModel
from clad.runtime.execution.rtc import (
    Committed,
    Continuation,
    action_mask,
    carried_on,
    carry_over,
    inpainted,
    soft_mask,
)
from clad.runtime.types import Chunk

H, N = 6, 7


def made(step, fill=None):
    values = (
        np.arange(step, step + H, dtype=np.float32)[:, None].repeat(N, 1) if fill is None else np.full((H, N), fill)
    )
    return Chunk(step=step, values=values, policy_latency=0.0)


@given(horizon=st.integers(1, 30), data=st.data())
def test_the_mask_is_the_papers(horizon, data):
    overlap = data.draw(st.integers(1, horizon))
    frozen = data.draw(st.integers(0, overlap))
    mask = soft_mask(frozen, overlap, horizon)
    for i in range(horizon):
        c = (overlap - i) / (overlap - frozen + 1)
        expected = 1.0 if i < frozen else c * (np.exp(c) - 1) / (np.e - 1) if i < overlap else 0.0
        assert mask[i] == pytest.approx(expected, abs=1e-6)
    assert (np.diff(mask) <= 1e-7).all() and (mask[frozen:] < 1).all()


def test_the_gripper_is_frozen_or_free():
    mask, soft = action_mask(2, 5, (H, N), gripper_index=6), soft_mask(2, 5, H)
    assert mask[:, 6].tolist() == [1, 1, 0, 0, 0, 0]
    assert all(np.array_equal(mask[:, i], soft) for i in range(6)) and soft[2] > 0


@given(first=st.integers(0, 9), step=st.integers(0, 20), frozen=st.integers(0, 9))
def test_carried_over_is_what_is_due_from_the_observation_on(first, step, frozen):
    found = carry_over(made(first), step, frozen)
    due = [k for k in range(first, first + H) if k >= step] if step >= first else []
    if not due or not frozen:
        assert found is None
    else:
        assert found.values[:, 0].tolist() == due and found.frozen == min(frozen, len(due))


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize("sample_steps", [1, 2, 10])
def test_frozen_steps_come_out_and_the_rest_follows_the_network(prediction, sample_steps):
    """A network that wants smooth chunks (its sample is the mean over the chunk) is drawn towards the frozen rows."""
    schedule = alphas_bar(100)

    def network(x, t):
        sample = np.broadcast_to(np.clip(x, -1, 1).mean(axis=1, keepdims=True), x.shape).astype(np.float32)
        if prediction == "sample":
            return sample
        return (x - np.sqrt(schedule[t]) * sample) / np.sqrt(1 - schedule[t])

    sampler = Ddim(train_steps=100, sample_steps=sample_steps, prediction=prediction)
    noise = np.random.default_rng(0).standard_normal((1, H, N)).astype(np.float32)
    known = np.full((1, H, N), 0.8, np.float32)
    mask = np.repeat(soft_mask(2, 4, H)[:, None], N, axis=1)
    free = sampler(network, noise[None])
    found = sampler(inpainted(network, known, mask, None if prediction == "sample" else schedule), noise[None])
    np.testing.assert_allclose(found[:, :2], 0.8, atol=1e-4)
    distance = np.abs(found - 0.8).mean(axis=(0, 2))
    assert distance[2] < distance[3] < np.abs(free - 0.8).mean()
    if sample_steps == 10:  # with the frozen rows in its input, the network moves even rows that no mask touches
        assert np.abs(found[:, 5] - 0.8).mean() < np.abs(free[:, 5] - 0.8).mean()


def test_without_a_mask_nothing_changes():
    network = lambda x, t: np.tanh(x + np.float32(t / 100))  # noqa: E731
    sampler = Ddim(train_steps=100, sample_steps=10, prediction="sample")
    noise = np.random.default_rng(0).standard_normal((1, H, N)).astype(np.float32)
    found = sampler(inpainted(network, noise, np.zeros((H, N), np.float32)), noise[None])
    np.testing.assert_allclose(found, sampler(network, noise[None]), atol=1e-6)


def test_a_continuation_needs_a_chunk_of_the_same_episode_and_a_known_latency():
    latency = LatencyModel(warm_up=0)
    memory = Continuation(50_000_000, latency)
    assert memory.committed(1, 0) is None
    memory.made(1, made(0))
    assert memory.committed(1, 1) is None  # no latency is known
    latency.note("total", 100_000_000)
    found = memory.committed(1, 1)
    assert isinstance(found, Committed) and found.frozen == 2 and found.values[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert memory.committed(2, 1) is None and memory.committed(1, 6) is None


@given(first=st.integers(0, 9), step=st.integers(0, 20))
def test_a_guess_is_what_is_due_and_then_the_last_action_again(first, step):
    found = carried_on(made(first), step)
    if step <= first or step >= first + H:
        assert found is None
    else:
        assert found[:, 0].tolist() == [min(k, first + H - 1) for k in range(step, step + H)]


def test_the_previous_chunk_is_of_an_earlier_observation_of_the_episode():
    memory = Continuation(50_000_000, LatencyModel())
    assert memory.previous(1, 0) is None
    for step in (0, 3, 3, 6):  # step 3 is asked for twice: a message was lost
        before = memory.previous(1, step)
        assert (before and before.step) == {0: None, 3: 0, 6: 3}[step]
        memory.made(1, made(step))
    assert memory.previous(2, 9) is None
    memory.made(2, made(5))
    assert memory.previous(2, 5) is None and memory.previous(2, 6).step == 5 and memory.previous(1, 9) is None
