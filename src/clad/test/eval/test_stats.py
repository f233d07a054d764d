"""Wilson's interval and latency summaries."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clad.eval.stats import Z_95, latency_summary, wilson

COUNTS = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS)
def test_against_scipy(counts):
    interval = pytest.importorskip("scipy.stats").binomtest(*counts).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(wilson(*counts), (interval.low, interval.high), atol=1e-9)


@given(COUNTS)
def test_the_ends_are_the_rates_that_are_just_not_rejected(counts):
    """The definition itself: |k/n - p| = z sqrt(p (1 - p) / n) at both ends, and k/n lies between them."""
    k, n = counts
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    for p in (low, high):
        assert abs(k / n - p) == pytest.approx(Z_95 * math.sqrt(p * (1 - p) / n), abs=1e-9)


def test_published_values():
    """34/36 and 0/7 as in the project's design notes; nothing tried says nothing."""
    assert [round(100 * x) for x in wilson(34, 36)] == [82, 98]
    assert wilson(0, 7)[0] == 0 and round(100 * wilson(0, 7)[1]) == 35
    assert wilson(12, 12)[1] == 1
    assert wilson(0, 0) == (0, 1)
    with pytest.raises(ValueError):
        wilson(3, 2)


def test_latency_summary():
    assert latency_summary([]) == {"n": 0, "p50_ms": None, "p99_ms": None, "max_ms": None}
    found = latency_summary([i / 1000 for i in range(1, 102)])
    assert found == {"n": 101, "p50_ms": 51.0, "p99_ms": 100.0, "max_ms": 101.0}
