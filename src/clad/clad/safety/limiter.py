"""How n independent coordinates may move next.

Time is discrete: a velocity chosen now is held for `dt` seconds. Velocity, acceleration and jerk are finite differences of
the positions that were commanded, which is what the driver sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SLACK = 1e-9  # relative: a command exactly at its limit is not refused for rounding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bounds:
    """velocity, acceleration, jerk: (n,), per s, s^2, s^3; inf where there is no limit."""

    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray


def stoppable_speed(distance: np.ndarray, acceleration: np.ndarray, dt: float) -> np.ndarray:
    """The greatest speed (n,) for the next dt from which one still stops within `distance`; 0 where that is not positive.

    The positive root of v dt + v^2 / 2a = d. Braking at `acceleration` from it keeps to it at every later step, whatever
    the length of the steps, so that a coordinate that obeys it once never has to leave its limits.
    """
    d = np.maximum(distance, 0.0)
    with np.errstate(invalid="ignore"):
        speed = 2 * d / (dt + np.sqrt(dt**2 + 2 * d / acceleration))
    return np.where(np.isinf(d), np.inf, speed)


class Window:
    """The velocities (n,) that are open for the next dt, between `low` and `high`; braking always is among them."""

    def __init__(
        self,
        *,
        velocity: np.ndarray,
        acceleration: np.ndarray,
        below: np.ndarray,
        above: np.ndarray,
        bounds: Bounds,
        dt: float,
    ) -> None:
        """velocity, acceleration: the present ones. below, above: distances to the limits of position; inf without one."""
        self._velocity, self._acceleration, self._bounds, self._dt = velocity, acceleration, bounds, dt
        self._down = stoppable_speed(below, bounds.acceleration, dt)
        self._up = stoppable_speed(above, bounds.acceleration, dt)
        fastest, slowest = velocity + bounds.acceleration * dt, velocity - bounds.acceleration * dt
        # beyond a limit already, e.g. as the speed was scaled down: back as fast as acceleration allows
        self.low = np.clip(-np.minimum(self._down, bounds.velocity), slowest, fastest)
        self.high = np.clip(np.minimum(self._up, bounds.velocity), slowest, fastest)

    def brake(self) -> np.ndarray:
        """The open velocity nearest to rest. Only acceleration limits a stop, jerk does not."""
        return np.clip(0.0, self.low, self.high)

    def nearest(self, wanted: np.ndarray) -> np.ndarray:
        """The open velocity nearest to `wanted` within the jerk limit; where nothing is open there, jerk gives way."""
        change = self._bounds.jerk * self._dt
        least = self._velocity + (self._acceleration - change) * self._dt
        most = self._velocity + (self._acceleration + change) * self._dt
        return np.clip(np.clip(wanted, least, most), self.low, self.high)

    def too_fast(self, velocity: np.ndarray) -> bool:
        """Whether a velocity that is fed forward exceeds the limit."""
        return bool(_over(np.abs(velocity), self._bounds.velocity).any())

    def broken(self, velocity: np.ndarray) -> set[str]:
        """Which limits a velocity would break: any of position, velocity, acceleration, jerk."""
        bounds, acceleration = self._bounds, (velocity - self._velocity) / self._dt
        jerk = (acceleration - self._acceleration) / self._dt
        over = {
            "position": _over(velocity, self._up) | _over(-velocity, self._down),
            "velocity": _over(np.abs(velocity), bounds.velocity),
            "acceleration": _over(np.abs(acceleration), bounds.acceleration),
            "jerk": _over(np.abs(jerk), bounds.jerk),
        }
        return {name for name, which in over.items() if which.any()}


def _over(values: np.ndarray, limits: np.ndarray) -> np.ndarray:
    return values > limits * (1 + SLACK) + SLACK
