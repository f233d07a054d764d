"""What is wrong with the observations that arrive: streams that stop, clocks that jump, cameras that hang. Knows no ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import numpy as np

from clad.robot.frozen import Frozen
from clad.stamps import SECOND

JUMP = 2.0  # s by which a stamp may run ahead of the steady clock: an episode may begin one second after the last
GRACE = 0.6  # of a control period: how much later than the others a stream may deliver
LATEST = 10  # complete observations over which their lateness is looked at


class Vigilance:
    """Each method returns what is wrong in words, or an empty text. Stamps in ns, `steady` in seconds of a steady clock.

    period: control period, ns. An observation that is wrong must not be planned: history would keep it.
    """

    def __init__(self, cameras: Iterable[str], period: int) -> None:
        self._cameras, self._period = tuple(cameras), period
        self._intervals: deque[int] = deque(maxlen=5)
        self._lateness: deque[int] = deque(maxlen=LATEST)
        self.clock_changed = False  # whether the last message that was looked at had another clock than those before
        self.begin()

    def begin(self) -> None:
        """An episode begins: its stamps need not follow the last one's, nor its images differ from them."""
        self._last: dict[str, tuple[int, float]] = {}  # stream -> (stamp, steady) of its last good message
        self._frozen = Frozen()
        self._newest = self._newest_came = 0.0  # the newest stamp of any stream, and when it came
        self._complete: int | None = None
        self.clock_changed = False

    def stamped(self, stream: str, stamp: int, steady: float) -> str:
        """A message of a stream: its stamps must not go back, nor run ahead of time. The same stamp may come again."""
        self.clock_changed = True
        if stream in self._last:
            before, then = self._last[stream]
            if stamp < before:
                return f"time ran backwards: {stream} is stamped {(before - stamp) / SECOND:.2f} s before its last"
            ahead = (stamp - before) / SECOND - (steady - then)
            if ahead > JUMP:
                return f"time jumped: {stream} is stamped {ahead:.2f} s ahead"
        self.clock_changed = False
        self._last[stream] = stamp, steady
        if stamp > self._newest:
            self._newest, self._newest_came = stamp, steady
        return ""

    def completed(self, stamp: int, images: Mapping[str, Any], hand: np.ndarray) -> str:
        """A complete observation. images: camera -> its data, compared by ==; hand: (3,) position, m."""
        if self._complete is not None and stamp > self._complete:
            self._intervals.append(stamp - self._complete)
        self._complete = stamp
        self._lateness.append(max(self._newest - stamp, 0))
        return self._frozen.look(images, hand)

    def overdue(self, steady: float) -> bool:
        """Whether complete observations have stopped while some stream goes on.

        One that is due, for some stream has it already, is given GRACE of a control period. What is due follows from the
        intervals so far, for cameras may be slower than the arm, and from how far behind the newest stamp observations
        were complete of late, for pictures may take their time.
        """
        if self._complete is None:
            return False
        usual = max(median(self._intervals) if self._intervals else 0, self._period) + max(self._lateness)
        behind = self._newest - self._complete
        waited = steady - self._newest_came >= GRACE * self._period / SECOND
        slack = self._period // 2  # stamps of a real robot are not to the nanosecond a period apart
        return behind >= usual + slack or (behind >= usual - slack and waited)
