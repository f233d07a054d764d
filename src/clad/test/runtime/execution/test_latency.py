"""Latency estimates against the same quantiles written out by brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clad.runtime.execution.latency import MOST, STAGES, ChunkStamps, Decaying, LatencyModel

MS = 10**6


def brute_force(values, half_life, q):
    """Repeat every value in proportion to its weight, and take the plain lower quantile."""
    weights = np.array([0.5 ** (age / half_life) for age in range(len(values))])[::-1]
    copies = np.round(weights * 20000).astype(int)
    return np.quantile(np.repeat(values, copies), q, method="inverted_cdf")


@given(values=st.lists(st.integers(0, 10**9), min_size=1, max_size=40, unique=True), half_life=st.floats(5, 60))
def test_quantiles_weigh_by_age(values, half_life):
    model = Decaying(warm_up=0, half_life=half_life)
    for value in values:
        model.add(value)
    weights = np.array([0.5 ** (age / half_life) for age in range(len(values))])[::-1]
    for q, found in ((0.5, model.estimate.p50), (0.95, model.estimate.p95)):
        share = lambda below: weights[below].sum() / weights.sum()  # noqa: E731
        assert share(np.array(values) <= found) >= q - 1e-6 and share(np.array(values) < found) < q + 1e-6
    assert model.estimate.n == len(values)


def test_quantiles_by_repeating_values():
    values = [30, 10, 50, 20, 90, 40]
    model = Decaying(warm_up=0, half_life=4)
    for value in values:
        model.add(value)
    assert model.estimate.p50 == brute_force(values, 4, 0.5) and model.estimate.p95 == brute_force(values, 4, 0.95)


def test_slow_first_ones_do_not_count():
    model = Decaying(warm_up=3)
    for value in (900, 800, 700):
        model.add(value)
        assert model.estimate is None
    model.add(20)
    assert (model.estimate.p50, model.estimate.p95, model.estimate.n) == (20, 20, 1)


def test_what_was_long_ago_is_forgotten_in_bounded_memory():
    model = Decaying(warm_up=0, half_life=10)
    for value in [100 * MS] * 1000 + [30 * MS] * 100:
        model.add(value)
    assert (model.estimate.p50, model.estimate.p95) == (30 * MS, 30 * MS) and model.estimate.n == MOST


@pytest.mark.parametrize(("total", "steps"), [(0, 0), (1, 1), (50 * MS, 1), (50 * MS + 1, 2), (120 * MS, 3)])
def test_control_steps_are_rounded_up(total, steps):
    model = LatencyModel(warm_up=0)
    assert model.steps(50 * MS) == 0  # unknown
    model.note("total", total)
    assert model.steps(50 * MS) == steps


def test_stages_are_told_apart_and_nonsense_is_left_out():
    model = LatencyModel(warm_up=0)
    model.note("plan", 25 * MS)
    model.note("chunk", 7 * MS)
    model.note("total", -40 * MS)  # the clock jumped
    assert model.estimate() is None and model.estimate("plan").p50 == 25 * MS
    assert model.values() == {"latency_plan_ms": "25.0 / 25.0", "latency_chunk_ms": "7.0 / 7.0"}
    with pytest.raises(KeyError):
        model.note("lunch", 1)
    assert set(STAGES) == {"plan", "chunk", "execution", "total"}


def test_a_chunks_stages_add_up_and_its_first_action_counts():
    model = LatencyModel(warm_up=0)
    stamps = ChunkStamps(model)
    stamps.published(1, captured=0, arrived=30 * MS, now=40 * MS)
    stamps.published(2, captured=50 * MS, arrived=75 * MS, now=85 * MS)
    stamps.executed(2, 100 * MS)  # chunk 1 was overtaken
    stamps.executed(2, 150 * MS)
    stamps.executed(1, 150 * MS)
    stamps.executed(0, 150 * MS)  # a hold
    assert [model.estimate(s).p50 for s in ("chunk", "execution", "total")] == [10 * MS, 15 * MS, 50 * MS]
    assert (model.estimate("plan").n, model.estimate("total").n) == (2, 1)


def test_chunks_that_nobody_executes_are_forgotten():
    stamps = ChunkStamps(LatencyModel())
    for seq in range(1, 5 * MOST):
        stamps.published(seq, captured=seq, arrived=seq, now=seq)
        stamps.executed(0, seq)
    assert len(stamps._waiting) <= MOST + 1
