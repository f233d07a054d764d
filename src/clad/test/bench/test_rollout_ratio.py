"""`clad bench --rollout`: the ratio is that of the pairs, and only of equal episodes."""

import pytest

from clad.bench.rollout import compare
from clad.errors import CladError


def episode(wall_s, steps=100, action_hash="a"):
    return {"init_index": 0, "steps": steps, "action_hash": action_hash, "timing": {"wall_s": wall_s}}


def test_the_ratio_is_the_median_over_pairs():
    direct = [episode(2.0), episode(4.0, steps=200), episode(10.0)]  # 20, 20, 100 ms a step: the machine was busy once
    graph = [episode(2.2), episode(4.4, steps=200), episode(11.0)]
    row = compare(direct, graph)
    assert row.ratio_to_baseline == pytest.approx(1.1)
    assert (row.p50, row.baseline, row.n, row.unit) == (pytest.approx(22), pytest.approx(20), 3, "ms")


def test_episodes_that_differ_are_no_comparison():
    with pytest.raises(CladError, match="did not act alike"):
        compare([episode(1.0)], [episode(1.0, action_hash="b")])
