"""How often something comes, from its numbers: what was not heard still counts."""

from __future__ import annotations

from collections import deque

from clad.stamps import SECOND


class Rate:
    """Of messages that are numbered one by one, over the last `window` seconds of their senders' time."""

    def __init__(self, window: float = 2.0) -> None:
        self._window = round(window * SECOND)
        self._heard: deque[tuple[int, int]] = deque()

    def feed(self, published: int, number: int) -> None:
        """published: ns. A number that goes back is another sender's, or another episode's: counting begins anew."""
        if self._heard and (number < self._heard[-1][1] or published < self._heard[-1][0]):
            self._heard.clear()
        self._heard.append((published, number))
        while published - self._heard[0][0] > self._window:
            self._heard.popleft()

    @property
    def hertz(self) -> float | None:
        """None until two were heard."""
        if len(self._heard) < 2 or self._heard[-1][0] == self._heard[0][0]:
            return None
        (first, start), (last, end) = self._heard[0], self._heard[-1]
        return (end - start) * SECOND / (last - first)

    def at(self, now: int) -> float:
        """Hz at `now`, ns: 0 when nothing came for a whole window."""
        silent = not self._heard or now - self._heard[-1][0] > self._window
        return 0.0 if silent else self.hertz or 0.0
