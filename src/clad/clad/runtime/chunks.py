"""Which step of a chunk is due now: a pure function of the chunk and the time.

Times are integer nanoseconds, as ROS carries them: in floating seconds a step that begins exactly at `now` would
sometimes be taken for the one before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """action: (N,) row `index` of the chunk, or None when no step may be executed, and then `flag` says why.

    flag: 'ok' | 'before_start' (step 0 is not due yet) | 'past_end' (every step's time is over) | 'expired' (the
    chunk's valid_until has passed). index: the step due now, also when it may not be executed; negative before the start.
    """

    action: np.ndarray | None
    flag: str
    index: int


def sample(values: np.ndarray, start: int, step_dt: int, now: int, valid_until: int) -> Sample:
    """The step of `values` (H, N) that is due at `now`; a step acts in [start + i step_dt, start + (i + 1) step_dt).

    start, now, valid_until: ns; step_dt: ns, positive. Steps whose time is over are skipped, never executed late.
    """
    index = (now - start) // step_dt
    if now > valid_until:
        flag = "expired"
    elif index < 0:
        flag = "before_start"
    elif index >= len(values):
        flag = "past_end"
    else:
        return Sample(action=values[index], flag="ok", index=index)
    return Sample(action=None, flag=flag, index=index)
