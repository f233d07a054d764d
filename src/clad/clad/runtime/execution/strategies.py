"""What several chunks together say for one moment: pure functions over (chunks, now).

`chunks` come from the oldest observation to the newest. Values that are due at the same moment are combined, never
values of equal index: that is right for deltas as for absolute targets, since a step's value belongs to its time.

The gripper channel is never averaged. Half-way between open (-1) and closed (+1) lies no command that anybody meant,
and near zero a mean would chatter: the newest chunk with a say decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clad.runtime.execution.chunks import Sample, TimedChunk, sample

NO_CHUNK = Sample(action=None, flag="no_chunk")


def newest(chunks: Sequence[TimedChunk], now: int) -> Sample:
    """The newest chunk's step; the one before it acts until the newest begins. Past its end nothing acts."""
    due = NO_CHUNK
    for chunk in reversed(chunks):
        due = sample(chunk, now)
        if due.flag != "before_start":
            break
    return due


def temporal_ensemble(chunks: Sequence[TimedChunk], now: int, *, gripper_index: int, decay: float) -> Sample:
    """Mean of every step due now with weights exp(-decay i), i = 0 for the oldest (Zhao et al. 2023, ACT).

    decay: per chunk, at least 0; the smaller, the sooner a new chunk counts as much as the old ones.
    """
    due = [s for s in (sample(chunk, now) for chunk in chunks) if s.action is not None]
    if not due:
        return newest(chunks, now)
    weights = np.exp(-decay * np.arange(len(due)))
    mean = np.average([s.action for s in due], axis=0, weights=weights)
    return _mixed(mean, due[-1], gripper_index)


def blend(chunks: Sequence[TimedChunk], now: int, *, gripper_index: int, steps: int) -> Sample:
    """Cross-fade: over `steps` control steps after its arrival a chunk's weight grows to 1, the rest is what was before.

    The weights are 1/(n+1), ..., n/(n+1), 1 with n = `steps`, or as many as the older chunk has left if that is fewer.
    Chunks that arrive during a fade fade in over its result.
    """
    value, last, before = None, None, None
    for chunk in chunks:
        due = sample(chunk, now)
        if due.action is not None:
            weight = 1.0 if value is None else _fade(before, chunk, now, steps)
            value = due.action if weight == 1.0 else (1.0 - weight) * value + weight * due.action
            last = due
        before = chunk
    return newest(chunks, now) if last is None else _mixed(value, last, gripper_index)


def _fade(older: TimedChunk, newer: TimedChunk, now: int, steps: int) -> float:
    """The newer chunk's weight: 0 before it has arrived, then up to 1."""
    begin = max(newer.accepted, newer.start)
    overlap = max(min(steps, (older.end - begin) // newer.step_dt), 0)
    if overlap == 0:
        return 1.0
    return min(max((now - begin) // newer.step_dt + 1, 0) / (overlap + 1), 1.0)


def _mixed(value: np.ndarray, newest_due: Sample, gripper_index: int) -> Sample:
    action = np.array(value, dtype=newest_due.action.dtype)
    action[gripper_index] = newest_due.action[gripper_index]
    return Sample(action=action, flag="ok", index=newest_due.index, seq=newest_due.seq, obs_stamp=newest_due.obs_stamp)
