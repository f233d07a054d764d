"""Two sets of episodes against each other: paired where both ran the same episode, with tests and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from clad.bag.figures import EpisodeFigures
from clad.eval.stats import wilson
from clad.report.columns import COLUMNS

LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessTest:
    """Rate of the first set minus that of the second, its interval, and the p of no difference.

    Paired: Newcombe's interval for paired rates (1998, method 10), McNemar's exact test; `only` are the episodes that
    one of the two solved. Unpaired: Newcombe's interval for independent rates, Fisher's exact test; `only` is None.
    """

    n: tuple[int, int]
    successes: tuple[int, int]
    only: tuple[int, int] | None
    difference: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureTest:
    """One figure over the pairs that have it, first set minus second.

    shift: Hodges-Lehmann, with the interval that inverts the signed-rank test; None below 6 pairs, where no 95 % interval
    exists. p: Wilcoxon signed-rank, equal pairs left out. p_holm: corrected for all the figures that were tested.
    """

    key: str
    n: int
    medians: tuple[float, float]
    median_difference: float
    shift: float
    interval: tuple[float, float] | None
    p: float
    p_holm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """paired: of the episodes that both sets have; unpaired: of the rest, whose figures are not compared."""

    pairs: int
    unpaired_keys: tuple[list[tuple], list[tuple]]
    paired: SuccessTest | None = None
    unpaired: SuccessTest | None = None
    figures: list[FigureTest] = field(default_factory=list)


def compare(ours: Sequence[EpisodeFigures], others: Sequence[EpisodeFigures]) -> Comparison:
    """Pairs are of equal (suite, task, init_index, seed); of an episode that is there twice the last counts.

    Episodes of unknown outcome, which were cut off, are left out.
    """
    a, b = ({f.key: f for f in figures if f.success is not None} for figures in (ours, others))
    both = [key for key in a if key in b]
    alone = [key for key in a if key not in b], [key for key in b if key not in a]
    return Comparison(
        pairs=len(both),
        unpaired_keys=alone,
        paired=paired_success([(a[key].success, b[key].success) for key in both]) if both else None,
        unpaired=unpaired_success([a[key].success for key in alone[0]], [b[key].success for key in alone[1]])
        if all(alone)
        else None,
        figures=_figures([(a[key], b[key]) for key in both]),
    )


def paired_success(pairs: Sequence[tuple[bool, bool]]) -> SuccessTest:
    """Of episodes that both sets ran; at least one."""
    from scipy.stats import binomtest

    n = len(pairs)
    both, first, second = (sum(pair == kind for pair in pairs) for kind in ((1, 1), (1, 0), (0, 1)))
    p = binomtest(first, first + second).pvalue if first + second else 1.0
    ones = both + first, both + second
    correlation = _correlation(both, first, second, n - both - first - second)
    return SuccessTest(
        n=(n, n),
        successes=ones,
        only=(first, second),
        difference=(first - second) / n,
        interval=_newcombe(ones, (n, n), correlation),
        p=float(p),
    )


def unpaired_success(ours: Sequence[bool], others: Sequence[bool]) -> SuccessTest:
    """Of episodes that one set alone ran; at least one each."""
    from scipy.stats import fisher_exact

    n, k = (len(ours), len(others)), (sum(ours), sum(others))
    table = [[k[0], n[0] - k[0]], [k[1], n[1] - k[1]]]
    return SuccessTest(
        n=n,
        successes=k,
        only=None,
        difference=k[0] / n[0] - k[1] / n[1],
        interval=_newcombe(k, n, 0.0),
        p=float(fisher_exact(table).pvalue),
    )


def hodges_lehmann(differences: np.ndarray) -> tuple[float, tuple[float, float] | None]:
    """(shift, 95 % interval) of paired differences (n,): median and order statistics of the n (n + 1) / 2 pairwise means.

    The interval is exact for differences without ties and conservative with them; None where n is below 6.
    """
    n = len(differences)
    i, j = np.triu_indices(n)
    means = np.sort((differences[i] + differences[j]) / 2)
    # distribution of the signed-rank sum under no shift: each rank counts or does not
    density = np.ones(1)
    for rank in range(1, n + 1):
        with_rank = np.zeros(len(density) + rank)
        with_rank[: len(density)] += density / 2
        with_rank[rank:] += density / 2
        density = with_rank
    k = int(np.searchsorted(np.cumsum(density), (1 - LEVEL) / 2, side="right"))  # P(W < k) is at most 2.5 %
    interval = (float(means[k - 1]), float(means[len(means) - k])) if k else None
    return float(np.median(means)), interval


def _figures(pairs: Sequence[tuple[EpisodeFigures, EpisodeFigures]]) -> list[FigureTest]:
    from scipy.stats import wilcoxon

    flat = [(a.flat(), b.flat()) for a, b in pairs]
    found = []
    for column in COLUMNS:
        values = [(a.get(column.key), b.get(column.key)) for a, b in flat]
        both = np.array([(x, y) for x, y in values if x is not None and y is not None], dtype=np.float64)
        if not len(both):
            continue
        differences = both[:, 0] - both[:, 1]
        shift, interval = hodges_lehmann(differences)
        found.append(
            {
                "key": column.key,
                "n": len(both),
                "medians": tuple(np.median(both, axis=0).tolist()),
                "median_difference": float(np.median(differences)),
                "shift": shift,
                "interval": interval,
                "p": float(wilcoxon(differences).pvalue) if differences.any() else 1.0,
            }
        )
    return [FigureTest(**row, p_holm=p) for row, p in zip(found, holm([row["p"] for row in found]))]


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction of p values for their number."""
    adjusted, worst = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = worst
    return adjusted


def _newcombe(successes: tuple[int, int], n: tuple[int, int], correlation: float) -> tuple[float, float]:
    """Hybrid score interval of the difference of two rates (Newcombe 1998), from the Wilson interval of each."""
    (p1, p2), ((l1, u1), (l2, u2)) = ([k / m for k, m in zip(successes, n)], map(wilson, successes, n))

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * correlation * a * b + b * b))

    return p1 - p2 - reach(p1 - l1, u2 - p2), p1 - p2 + reach(u1 - p1, p2 - l2)


def _correlation(both: int, first: int, second: int, neither: int) -> float:
    """phi of paired outcomes, with Newcombe's correction for continuity."""
    n = both + first + second + neither
    product = (both + first) * (second + neither) * (both + second) * (first + neither)
    if not product:
        return 0.0
    excess = both * neither - first * second
    if excess > 0:
        excess = max(0.0, excess - n / 2)
    return excess / math.sqrt(product)
