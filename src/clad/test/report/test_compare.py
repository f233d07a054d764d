"""Comparisons against the same written out by hand, against published examples, and against coverage by simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clad.bag.figures import EpisodeFigures
from clad.report.compare import compare, hodges_lehmann, holm, paired_success, unpaired_success


def episode(seed, success=True, **more):
    return EpisodeFigures(
        episode=seed, suite="libero_10", task=5, init_index=seed, seed=seed, success=success, outcome="success", **more
    )


def pairs(both, first, second, neither):
    return [(True, True)] * both + [(True, False)] * first + [(False, True)] * second + [(False, False)] * neither


@given(first=st.integers(0, 12), second=st.integers(0, 12))
@settings(max_examples=30)
def test_mcnemar_is_a_fair_coin_over_the_pairs_that_differ(first, second):
    n = first + second
    tail = [math.comb(n, k) / 2**n for k in range(n + 1)]
    expected = sum(p for p in tail if p <= tail[first] * (1 + 1e-9))
    assert paired_success(pairs(3, first, second, 2)).p == pytest.approx(min(1.0, expected))


def test_interval_of_paired_rates_is_newcombes():
    """Newcombe 1998 (Statistics in Medicine 17:2635), method 10: his example of 36, 12, 2 and 0 pairs."""
    assert paired_success(pairs(36, 12, 2, 0)).interval == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_interval_of_paired_rates_covers_what_it_says():
    """Episodes have difficulties that both sets share, so that their outcomes go together."""
    rng = np.random.default_rng(1)
    hits = 0
    many = rng.uniform(size=(10**6, 1)) + rng.normal(0, 0.2, (10**6, 2)) < (0.8, 0.7)
    true = many[:, 0].mean() - many[:, 1].mean()
    for _ in range(400):
        hard = rng.uniform(size=50)[:, None]
        found = paired_success([tuple(pair) for pair in (hard + rng.normal(0, 0.2, (50, 2)) < (0.8, 0.7)).tolist()])
        hits += found.interval[0] <= true <= found.interval[1]
    assert 0.93 <= hits / 400 <= 0.995


def test_interval_of_independent_rates_is_newcombes():
    """Newcombe 1998 (Statistics in Medicine 17:873), table II, method 10: 56/70 and 48/80."""
    found = unpaired_success([True] * 56 + [False] * 14, [True] * 48 + [False] * 32)
    assert found.interval == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.difference == pytest.approx(0.2)


def test_fisher_by_enumeration():
    ours, others = [True] * 7 + [False], [True] * 2 + [False] * 6
    probabilities = [math.comb(8, k) * math.comb(8, 9 - k) / math.comb(16, 9) for k in range(1, 9)]
    expected = sum(p for p in probabilities if p <= probabilities[6] * (1 + 1e-9))
    assert unpaired_success(ours, others).p == pytest.approx(expected)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=7))
def test_shift_by_brute_force(values):
    means = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(values, 2)]
    assert hodges_lehmann(np.array(values))[0] == pytest.approx(np.median(means))


def test_the_interval_of_a_shift_inverts_the_signed_rank_test():
    """A shift is inside where the exact test, by all sign patterns, does not refuse it at 5 %."""
    values = np.random.default_rng(3).normal(0.7, 1.0, 9)
    low, high = hodges_lehmann(values)[1]

    def p(shift):
        ranks = np.argsort(np.argsort(np.abs(values - shift))) + 1
        seen = ranks[values > shift].sum()
        sums = [sum(r for r, s in zip(ranks, signs) if s) for signs in itertools.product((0, 1), repeat=9)]
        return 2 * min(np.mean([s <= seen for s in sums]), np.mean([s >= seen for s in sums]))

    for edge, out in ((low, -1e-6), (high, 1e-6)):
        assert p(edge + out) <= 0.05 < p(edge - out)


@pytest.mark.parametrize(("n", "there"), [(5, False), (6, True)])
def test_below_six_pairs_no_interval_exists(n, there):
    assert (hodges_lehmann(np.arange(n, dtype=float))[1] is not None) == there


def test_the_interval_covers_what_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        low, high = hodges_lehmann(rng.normal(0.3, 1.0, 15))[1]
        hits += low <= 0.3 <= high
    assert 0.92 <= hits / 400 <= 0.985


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([]) == []


def test_episodes_are_paired_by_what_was_run():
    ours = [episode(i, success=i != 2, held_s=1.0 + i) for i in range(8)] + [episode(20, success=True)]
    others = [episode(i, success=True, held_s=0.5 + i) for i in reversed(range(8))] + [episode(30, success=False)]
    found = compare(ours, others)
    assert found.pairs == 8
    assert found.unpaired_keys == ([("libero_10", 5, 20, 20)], [("libero_10", 5, 30, 30)])
    assert (found.paired.successes, found.paired.only) == ((7, 8), (0, 1))
    assert (found.unpaired.successes, found.unpaired.n) == ((1, 0), (1, 1))
    [held] = [test for test in found.figures if test.key == "held_s"]
    assert (held.n, held.shift, held.median_difference) == (8, 0.5, 0.5)
    assert held.interval == (0.5, 0.5)
    assert held.p == pytest.approx(2 / 2**8)
    assert held.p_holm == pytest.approx(held.p * len(found.figures))


def test_of_an_episode_that_is_there_twice_the_last_counts():
    found = compare([episode(1, success=False), episode(1, success=True)], [episode(1)])
    assert (found.pairs, found.paired.successes) == (1, (1, 1))


def test_an_episode_that_was_cut_off_is_in_no_pair():
    found = compare([episode(1, success=None)], [episode(1)])
    assert (found.pairs, found.paired, found.figures) == (0, None, [])
    assert found.unpaired_keys == ([], [("libero_10", 5, 1, 1)])


def test_equal_sets_do_not_differ():
    same = [episode(i, held_s=float(i)) for i in range(8)]
    found = compare(same, same)
    assert found.paired.p == 1.0 and found.paired.difference == 0.0
    assert all(test.p == 1.0 and test.shift == 0.0 for test in found.figures)
