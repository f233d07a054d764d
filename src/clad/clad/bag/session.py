"""Episode after episode out of one stream of messages: a running graph's, or a recording's that was left on for hours."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from clad.bag.metrics import EPISODE, JOINT_STATES, TOPICS, EpisodeMeter
from clad.contract import RobotContract
from clad.stamps import to_ns

_UNCLAIMED = 500  # observations that may come before their episode is announced


class SessionMeter:
    """Messages of one episode after the other. At most two meters are open: the newest episode's, and that of the one before
    it, whose last messages may still be under way.
    """

    def __init__(self, contract: RobotContract, finished: Callable[[EpisodeMeter], None] = lambda meter: None) -> None:
        """finished: given every meter that is closed, in order."""
        self._contract = contract
        self._finished = finished
        self._open: list[EpisodeMeter] = []
        self._recent: deque[tuple[int, Any]] = deque(maxlen=_UNCLAIMED)

    def feed(self, topic: str, published: int, message: Any) -> None:
        """As EpisodeMeter.feed, of any episode."""
        if topic == JOINT_STATES:
            self._recent.append((published, message))
            for meter in self._open:
                meter.feed(topic, published, message)
        elif topic in TOPICS:
            self._meter(topic, message).feed(topic, published, message)

    @property
    def newest(self) -> EpisodeMeter | None:
        """The meter of the episode that began last."""
        return self._open[-1] if self._open else None

    def close(self) -> None:
        """Finish the episodes that are still open."""
        while self._open:
            self._finished(self._open.pop(0))

    def _meter(self, topic: str, message: Any) -> EpisodeMeter:
        for meter in self._open:
            if meter.episode == message.episode:
                begun_anew = topic == EPISODE and meter.start not in (None, to_ns(message.header.stamp))
                if not begun_anew:  # else the bridge was started again and counts from one
                    return meter
        meter = EpisodeMeter(self._contract, message.episode)
        for published, observation in self._recent:
            meter.feed(JOINT_STATES, published, observation)
        self._open.append(meter)
        while len(self._open) > 2 or (len(self._open) == 2 and self._open[0].episode == meter.episode):
            self._finished(self._open.pop(0))
        return meter
