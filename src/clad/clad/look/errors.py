"""The error of each foresight as soon as its future is seen: as clad.bag.metrics has it after the episode."""

from __future__ import annotations

import numpy as np

from clad.bag.kept import Foreseen
from clad.eval.foresight import cosine, pairs, proprio_errors


class RunningErrors:
    """Holds foresights until tau later. tolerance: ns between when a foresight is for and when an observation was made."""

    def __init__(self, tolerance: int) -> None:
        self._tolerance = tolerance
        self._waiting: list[Foreseen] = []

    def feed(self, seen: Foreseen) -> dict[str, float]:
        """Errors of the foresight that was for this observation's time, if there is one; names as in EpisodeSeries.foresight."""
        if self._waiting and seen.stamp <= self._waiting[-1].stamp:
            if seen.stamp == self._waiting[-1].stamp:  # the same observation, planned on again
                return {}
            self._waiting.clear()  # another episode
        self._waiting.append(seen)
        self._waiting = [f for f in self._waiting if f.stamp + f.horizon >= seen.stamp - self._tolerance]
        stamps, horizons = (
            np.array([getattr(f, n) for f in self._waiting], dtype=np.int64) for n in ("stamp", "horizon")
        )
        newest = len(self._waiting) - 1
        due = [i for i, j in pairs(stamps, horizons, self._tolerance) if j == newest]
        return _errors(self._waiting[due[-1]], seen) if due else {}


def _errors(then: Foreseen, now: Foreseen) -> dict[str, float]:
    found: dict[str, np.ndarray] = {}
    if 0 < len(now.semantic) == len(then.semantic) == len(then.semantic_predicted):
        found["cosine"] = cosine(then.semantic_predicted, now.semantic)[None]
        found["cosine_persistence"] = cosine(then.semantic, now.semantic)[None]
    if 0 < len(now.proprio) == len(then.proprio) == len(then.proprio_predicted):
        found |= proprio_errors(then.proprio_predicted[None], now.proprio[None])
        persistence = proprio_errors(then.proprio[None], now.proprio[None])
        found |= {f"{name}_persistence": error for name, error in persistence.items()}
    return {name: float(values[0]) for name, values in found.items() if np.isfinite(values[0])}
