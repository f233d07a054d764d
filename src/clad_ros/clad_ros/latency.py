"""How long chunks take: observation published to chunk received, and what of it was computing."""

from __future__ import annotations

import time
from collections import deque

WAITING = 1000  # observations, and plans, that are remembered for a chunk that may still come
KEPT = 20_000  # chunks behind the result, the newest: 13 minutes at 25 Hz, far beyond a LIBERO episode


class LatencyMeter:
    """Collects one entry per observation: the first chunk made from it. All times in wall seconds.

    Compute time is the plan's plus the policy's; the two arrive in different messages, in either order, and are joined
    by the foresight's number as soon as both are there. Bounded, however long an episode: an observation whose chunk
    was lost is forgotten after WAITING others, a chunk after KEPT.
    """

    def __init__(self) -> None:
        self._published: dict[int, float] = {}  # observation stamp -> wall time
        self._plans: dict[int, float] = {}  # foresight seq -> plan latency
        self._chunks: dict[int, tuple[float, float]] = {}  # foresight seq -> whole, policy; its foresight is not here
        self._known: deque[tuple[float, float]] = deque(maxlen=KEPT)  # whole, compute

    def published(self, stamp: int) -> None:
        """The observation of `stamp` (ns) has just been published."""
        _remember(self._published, stamp, time.perf_counter())

    def planned(self, foresight_seq: int, plan_latency: float) -> None:
        """A foresight's own account of what it took, s."""
        _remember(self._plans, foresight_seq, plan_latency)
        self._join(foresight_seq)

    def received(self, stamp: int, foresight_seq: int, policy_latency: float) -> None:
        """A chunk made from the observation of `stamp` has just arrived; later ones of the same stamp do not count."""
        published = self._published.pop(stamp, None)
        if published is not None:
            _remember(self._chunks, foresight_seq, (time.perf_counter() - published, policy_latency))
            self._join(foresight_seq)

    def results(self) -> tuple[list[float], list[float]]:
        """(latency, compute) of the newest chunks of which both are known, in the order in which they became known."""
        return [whole for whole, _ in self._known], [compute for _, compute in self._known]

    def _join(self, seq: int) -> None:
        if seq in self._chunks and seq in self._plans:
            whole, policy = self._chunks.pop(seq)
            self._known.append((whole, self._plans.pop(seq) + policy))


def _remember(entries: dict, key: int, value: object) -> None:
    entries[key] = value
    if len(entries) > WAITING:
        del entries[next(iter(entries))]  # the oldest
