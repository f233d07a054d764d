"""What the graph costs in lock-step: wall time a control step against that of the loop in one process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clad.bench.rows import Row
from clad.errors import CladError

NAME = "lock-step, a control step"


def compare(direct: Sequence[dict], graph: Sequence[dict]) -> Row:
    """Of the episodes of result.json, pairwise the same; ms a step from reset to outcome, the direct loop as baseline.

    Raises CladError when a pair's actions differ: two different episodes say nothing about cost.
    """
    for ours, theirs in zip(graph, direct, strict=True):
        if ours["action_hash"] != theirs["action_hash"]:
            raise CladError(
                f"initial state {ours['init_index']}: the graph and the direct loop did not act alike",
                "Mend that first: clad sim and clad eval must agree bit for bit",
            )
    took, base = (np.array([1e3 * e["timing"]["wall_s"] / e["steps"] for e in rows]) for rows in (graph, direct))
    baseline = float(np.median(base))
    return Row(
        name=NAME,
        p50=float(np.median(took)),
        p99=float(np.percentile(took, 99)),
        n=len(took),
        unit="ms",
        floor=None,
        ratio_to_floor=None,
        baseline=baseline,
        ratio_to_baseline=float(np.median(took / base)),
    )
