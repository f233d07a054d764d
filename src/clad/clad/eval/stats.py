"""Statistics of success counts and latencies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def wilson(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a success rate; (0, 1) when nothing was tried.

    The interval is the set of rates p with |successes/n - p| <= z sqrt(p (1 - p) / n), in closed form.
    """
    if n == 0:
        return 0.0, 1.0
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    rate, zz = successes / n, z * z
    centre = (rate + zz / (2 * n)) / (1 + zz / n)
    half = z / (1 + zz / n) * math.sqrt(rate * (1 - rate) / n + zz / (4 * n * n))
    # exact at the ends, where rounding would leave 1e-17
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def latency_summary(seconds: Sequence[float]) -> dict[str, float | int | None]:
    """{n, p50_ms, p99_ms, max_ms} of wall times in seconds; the last three are None when there are none."""
    if not len(seconds):
        return {"n": 0, "p50_ms": None, "p99_ms": None, "max_ms": None}
    ms = 1e3 * np.asarray(seconds, dtype=np.float64)
    p50, p99 = np.percentile(ms, [50, 99])
    return {"n": len(ms), "p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "max_ms": round(ms.max(), 3)}
