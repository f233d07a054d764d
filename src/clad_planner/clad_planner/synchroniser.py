"""Messages of several streams, joined by equal stamp. Knows no ROS: a message is whatever the caller hands over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MOST_WAITING = 100  # incomplete stamps kept: two seconds of joint states at 50 Hz


class Synchroniser:
    """Collects one message per stream for each stamp; a stamp is complete when every stream has delivered.

    A complete stamp drops all older ones: streams are ordered in themselves, so those will never be complete, or are
    no longer wanted. The same stamp may become complete again (a bridge that publishes an observation once more).
    """

    def __init__(self, streams: Iterable[str]) -> None:
        self._streams = frozenset(streams)
        self._waiting: dict[int, dict[str, Any]] = {}
        self._complete = -1

    def add(self, stream: str, stamp: int, message: Any) -> dict[str, Any] | None:
        """All streams' messages of `stamp` (ns) if this was the last one missing, else None."""
        if stream not in self._streams:
            raise KeyError(stream)
        if stamp < self._complete:
            return None
        group = self._waiting.setdefault(stamp, {})
        group[stream] = message
        if len(group) == len(self._streams):
            self._complete = stamp
            self._waiting = {s: g for s, g in self._waiting.items() if s > stamp}
            return group
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[min(self._waiting)]
        return None

    def missing(self) -> list[str]:
        """The streams that the oldest incomplete stamp waits for, sorted; all of them while none is under way."""
        oldest = self._waiting[min(self._waiting)] if self._waiting else {}
        return sorted(self._streams - oldest.keys())
