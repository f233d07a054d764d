"""When things happened in an episode, from wall stamps in ns: how regular they were, and where a chunk's time went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clad.eval.stats import latency_summary
from clad.stamps import SECOND

LATE = 1.5  # periods after the one before: a deadline is missed by more than half a period


@dataclass(frozen=True, slots=True, kw_only=True)
class Regularity:
    """target: s between two events. error: |time between two events - target|, as `latency_summary`. missed: deadlines."""

    target: float
    error: dict[str, float | int | None]
    missed: int


def regularity(between: np.ndarray, target: float) -> Regularity | None:
    """between: (n,) s from each event to the next. None where there are no two events."""
    if not len(between):
        return None
    return Regularity(
        target=target,
        error=latency_summary(np.abs(between - target)),
        missed=int(np.count_nonzero(between > LATE * target)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTimes:
    """One chunk's way from camera to robot. Stamps are wall ns, 0 where nobody knows; durations are s of wall time."""

    captured: int
    observed: int
    foresight: int
    chunk: int
    executed: int
    encode: float
    plan: float
    policy: float


STAGES = ("sense", "to_planner", "encode", "plan_rest", "to_policy", "policy", "to_robot")


def stages(times: ChunkTimes) -> dict[str, float]:
    """Stage -> s; what cannot be known is left out. Stages that touch add up to the time between their ends.

    sense: capture to the observation's publication. to_planner: until planning begins. encode, plan_rest: planning.
    to_policy: the foresight's way. policy: denoising. to_robot: the chunk's way, and its wait for the step that is due.
    """
    found = {
        "encode": times.encode,
        "plan_rest": times.plan - times.encode,
        "to_policy": (times.chunk - times.foresight) / SECOND - times.policy,
        "policy": times.policy,
    }
    if times.observed:
        found["to_planner"] = (times.foresight - times.observed) / SECOND - times.plan
        if times.captured:
            found["sense"] = (times.observed - times.captured) / SECOND
    if times.executed:
        found["to_robot"] = (times.executed - times.chunk) / SECOND
    return found


def missing_numbers(numbers: np.ndarray) -> int:
    """Numbers left out of a sequence that counts up by one; where it goes back, its sender was started again."""
    gaps = np.diff(np.asarray(numbers, dtype=np.int64)) - 1
    return int(gaps[gaps > 0].sum())
