"""The last second of a state that arrives faster than it is asked for, so that it can be asked for any instant."""

from __future__ import annotations

from collections import deque

import numpy as np

from clad.stamps import SECOND


class History:
    """Values (N,) with stamps in ns. A stamp that is not newer than the last one is not taken."""

    def __init__(self, seconds: float = 1.0) -> None:
        self._span = round(seconds * SECOND)
        self._entries: deque[tuple[int, np.ndarray]] = deque()

    def add(self, stamp: int, value: np.ndarray) -> bool:
        """False for a stamp that came before: repeated, or a clock that ran backwards."""
        if self._entries and stamp <= self._entries[-1][0]:
            return False
        self._entries.append((stamp, value))
        while self._entries[0][0] < stamp - self._span:
            self._entries.popleft()
        return True

    @property
    def newest(self) -> tuple[int, np.ndarray] | None:
        """(stamp, value) of the last entry."""
        return self._entries[-1] if self._entries else None

    def clear(self) -> None:
        self._entries.clear()

    def at(self, stamp: int) -> np.ndarray | None:
        """The value at `stamp`, linear between its neighbours; None outside what is known."""
        if not self._entries or not self._entries[0][0] <= stamp <= self._entries[-1][0]:
            return None
        after = next(i for i, (t, _) in enumerate(self._entries) if t >= stamp)
        t1, v1 = self._entries[after]
        if t1 == stamp:
            return v1
        t0, v0 = self._entries[after - 1]
        return v0 + (v1 - v0) * ((stamp - t0) / (t1 - t0))
