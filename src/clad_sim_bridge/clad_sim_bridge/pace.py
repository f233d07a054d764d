"""How fast simulated time goes. Knows no ROS."""

from __future__ import annotations

from collections import deque

from clad.stamps import SECOND

WINDOW = 2.0  # wall seconds over which the factor is taken
SLOW = 0.95  # of the factor that was asked for: below it simulated time is said to lag


class Pace:
    """The real-time factor achieved of late: simulated seconds per wall second, over the last WINDOW wall seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()  # wall s, sim ns

    def note(self, wall: float, sim: int) -> None:
        """At `wall`, monotonic s, simulated time had come to `sim`, ns."""
        self._points.append((wall, sim))
        while len(self._points) > 1 and self._points[1][0] <= wall - WINDOW:
            self._points.popleft()

    @property
    def factor(self) -> float | None:
        """None until a whole window has been seen."""
        if not self._points:
            return None
        (first_wall, first), (wall, now) = self._points[0], self._points[-1]
        return (now - first) / SECOND / (wall - first_wall) if wall - first_wall >= WINDOW else None

    def lags(self, wanted: float) -> bool:
        """Whether simulated time is slower than the factor that was asked for."""
        factor = self.factor
        return factor is not None and factor < SLOW * wanted
