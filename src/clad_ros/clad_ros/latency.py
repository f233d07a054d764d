"""How long chunks take: observation published to chunk received, and what of it was computing."""

from __future__ import annotations

import time


class LatencyMeter:
    """Collects one entry per observation: the first chunk made from it. All times in wall seconds.

    Compute time is the plan's plus the policy's; the two arrive in different messages, in either order, and are joined
    by the foresight's number at the end.
    """

    def __init__(self) -> None:
        self._published: dict[int, float] = {}  # observation stamp -> wall time
        self._plans: dict[int, float] = {}  # foresight seq -> plan latency
        self._chunks: list[tuple[int, float, float]] = []  # foresight seq, whole latency, policy latency

    def published(self, stamp: int) -> None:
        """The observation of `stamp` (ns) has just been published."""
        self._published[stamp] = time.perf_counter()

    def planned(self, foresight_seq: int, plan_latency: float) -> None:
        self._plans[foresight_seq] = plan_latency

    def received(self, stamp: int, foresight_seq: int, policy_latency: float) -> None:
        """A chunk made from the observation of `stamp` has just arrived; later ones of the same stamp do not count."""
        published = self._published.pop(stamp, None)
        if published is not None:
            self._chunks.append((foresight_seq, time.perf_counter() - published, policy_latency))

    def results(self) -> tuple[list[float], list[float]]:
        """(latency, compute) of every chunk of which both are known."""
        known = [(whole, self._plans[seq] + policy) for seq, whole, policy in self._chunks if seq in self._plans]
        return [w for w, _ in known], [c for _, c in known]
