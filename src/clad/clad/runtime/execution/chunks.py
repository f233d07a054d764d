"""A chunk in time, and which of its steps is due now.

Times are integer nanoseconds, as ROS carries them: in floating seconds a step that begins exactly at `now` would
sometimes be taken for the one before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedChunk:
    """An action chunk with its schedule, as ActionChunk carries it; times in ns.

    values: (H, N) actions in wire (SI) units; step i acts in [start + i step_dt, start + (i + 1) step_dt).
    valid_until: no step is executed after this time. obs_stamp: capture time of the observation behind the chunk.
    seq: counts up by one per chunk of a publisher. publisher: who made it (the message's model_id).
    accepted: when an executor took it; 0 before that.
    """

    values: np.ndarray
    start: int
    step_dt: int
    valid_until: int
    obs_stamp: int
    seq: int
    publisher: str = ""
    accepted: int = 0

    @property
    def end(self) -> int:
        """The first moment at which nothing of the chunk may be executed any more."""
        return min(self.start + len(self.values) * self.step_dt, self.valid_until + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """action: (N,) what to execute now, wire units, or None when no step may be executed, and then `flag` says why.

    flag: 'ok' | 'no_chunk' (none has arrived) | 'before_start' (step 0 is not due yet) | 'past_end' (every step's time
    is over) | 'expired' (the chunk's valid_until has passed) | 'clock_back' (time ran backwards: every chunk is forgotten).
    index: the step due now of the newest chunk with a say, also when it may not be executed; negative before the start.
    seq, obs_stamp: that chunk's; 0 without one.
    """

    action: np.ndarray | None
    flag: str
    index: int = -1
    seq: int = 0
    obs_stamp: int = 0


def sample(chunk: TimedChunk, now: int) -> Sample:
    """The step of one chunk that is due at `now`, ns. Steps whose time is over are skipped, never executed late."""
    index = (now - chunk.start) // chunk.step_dt
    action = None
    if now > chunk.valid_until:
        flag = "expired"
    elif index < 0:
        flag = "before_start"
    elif index >= len(chunk.values):
        flag = "past_end"
    else:
        flag, action = "ok", chunk.values[index]
    return Sample(action=action, flag=flag, index=index, seq=chunk.seq, obs_stamp=chunk.obs_stamp)
