"""A made-up course of chunks: what an executor might hear, for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from clad.contract.robot import ActionSpec
from clad.runtime.execution import TimedChunk

DT = 50_000_000
SPEC = ActionSpec(
    representation="OSC_POSE_DELTA",
    names=("dx", "dy", "gripper"),
    units=("m", "m", "1"),
    scale=(0.05, 0.05, 1.0),
    gripper_index=2,
)
T0 = 10**9


def chunk(step: int, seq: int, *, steps: int = 6, values: np.ndarray | None = None, **changes) -> TimedChunk:
    """A chunk of the observation at control step `step`; row i holds the step that it is due at, its seq and a gripper."""
    start = T0 + step * DT
    if values is None:
        due = np.arange(step, step + steps)
        values = np.stack([due, np.full(steps, seq), np.where(due % 2, 1.0, -1.0)], axis=1).astype(np.float32)
    fields = dict(
        values=values, start=start, step_dt=DT, valid_until=start + len(values) * DT, obs_stamp=start, seq=seq
    )
    return TimedChunk(**{**fields, **changes})


@st.composite
def arrivals(draw, most: int = 20) -> list[tuple[int, TimedChunk]]:
    """(time of arrival, chunk) in order of arrival: late, reordered, repeated and lost chunks among them."""
    steps = draw(st.lists(st.integers(0, 40), min_size=1, max_size=most, unique=True))
    found = []
    for seq, step in enumerate(sorted(steps), start=1):
        made = chunk(step, seq, steps=draw(st.integers(1, 8)))
        for _ in range(draw(st.integers(0, 2))):
            found.append((made.start + draw(st.integers(0, 10 * DT)), made))
    return sorted(found, key=lambda a: a[0])
