"""Whether what should come still comes, each stream at its own pace. Knows no ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from clad.stamps import SECOND

RECENT = 9  # messages from which a stream's pace is taken
FEWEST = 4  # before that a pace is not known


@dataclass(slots=True)
class _Stream:
    stamps: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT))
    heard: int = 0

    @property
    def interval(self) -> float | None:
        """ns between messages by their stamps, which do not bunch as arrivals do; None while it is not known."""
        if len(self.stamps) < FEWEST:
            return None
        stamps = list(self.stamps)
        return median(b - a for a, b in zip(stamps, stamps[1:]))


class Arrivals:
    """A stream is late when its next message is overdue by more than `allowance` ns.

    A median, so that neither a gap nor a burst changes the pace. Times are in ns; stamps may be of another clock than `now`.
    """

    def __init__(self, streams: Iterable[str], allowance: int) -> None:
        self._streams = {name: _Stream() for name in streams}
        self._allowance = allowance

    def __contains__(self, stream: str) -> bool:
        return stream in self._streams

    def note(self, stream: str, stamp: int, now: int) -> None:
        """A message arrived. Raises KeyError for a stream that is not watched."""
        entry = self._streams[stream]
        entry.stamps.append(stamp)
        entry.heard = now

    def late(self, now: int) -> str:
        """The first stream that is late, in words; empty while there is none."""
        for name, stream in self._streams.items():
            interval, silent = stream.interval, now - stream.heard
            if interval is not None and silent > interval + self._allowance:
                return f"{name} is late: nothing for {silent / SECOND:.2f} s, it comes every {interval / SECOND:.3f} s"
        return ""
