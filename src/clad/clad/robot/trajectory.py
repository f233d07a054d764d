"""Joint trajectories as a ros2_control joint trajectory controller takes them: points with positions and velocities.

Between two points a joint follows the cubic that has both positions and both velocities; after the last it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from clad.stamps import SECOND

POINT_EVERY = 0.05  # s between the points of a long motion
PEAK = 1.875  # peak speed of a minimum-jerk motion in units of its mean speed


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """start: ns of the first point. times: (n,) s from start, from 0, ascending. positions, velocities: (n, J).

    The last velocity is zero: an arm that hears nothing more comes to rest.
    """

    start: int
    times: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray

    @property
    def end(self) -> int:
        """Time of the last point, ns."""
        return self.start + round(self.times[-1] * SECOND)

    def sample(self, now: int) -> tuple[np.ndarray, np.ndarray]:
        """Position and velocity (J,) at `now`, ns; before the start and after the end the arm stands."""
        seconds = (now - self.start) / SECOND
        if seconds < 0 or seconds >= self.times[-1]:
            at = self.positions[0 if seconds < 0 else -1]
            return at.copy(), np.zeros_like(at)
        return self._spline(seconds), self._slope(seconds)

    @cached_property
    def _spline(self) -> CubicHermiteSpline:
        return CubicHermiteSpline(self.times, self.positions, self.velocities)

    @cached_property
    def _slope(self):
        return self._spline.derivative()


def standing(joints: np.ndarray, now: int) -> Trajectory:
    """The trajectory of an arm that stands."""
    joints = np.asarray(joints, dtype=np.float64)[None]
    return Trajectory(start=now, times=np.zeros(1), positions=joints, velocities=np.zeros_like(joints))


def onward(
    before: Trajectory, now: int, position: np.ndarray, velocity: np.ndarray, *, period: float, stop_time: float
) -> Trajectory:
    """From where `before` is at `now` to `position` with `velocity` (J,) one `period` later, then to rest.

    Position and velocity are continuous with `before`. The way to rest is one of constant deceleration, `stop_time` s
    long; it is driven only when nothing further is commanded.
    """
    here, speed = before.sample(now)
    return Trajectory(
        start=now,
        times=np.array([0.0, period, period + stop_time]),
        positions=np.stack([here, position, position + 0.5 * stop_time * velocity]),
        velocities=np.stack([speed, velocity, np.zeros_like(speed)]),
    )


def knot_velocity(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The velocity (J,) between two mean velocities with which the curve overshoots nowhere (Fritsch and Carlson).

    Their harmonic mean, and zero where a joint turns round.
    """
    product = before * after
    total = np.where(product > 0, before + after, 1.0)
    return np.where(product > 0, 2 * product / total, 0.0)


def rest_to_rest(here: np.ndarray, there: np.ndarray, speed: float, now: int) -> Trajectory:
    """A minimum-jerk motion between two rests (J,) rad, whose fastest joint peaks at `speed` rad/s."""
    here, there = np.asarray(here, dtype=np.float64), np.asarray(there, dtype=np.float64)
    duration = max(PEAK * np.abs(there - here).max() / speed, POINT_EVERY)
    times = np.linspace(0.0, duration, 1 + int(np.ceil(duration / POINT_EVERY)))
    s = (times / duration)[:, None]
    return Trajectory(
        start=now,
        times=times,
        positions=here + (there - here) * (10 * s**3 - 15 * s**4 + 6 * s**5),
        velocities=(there - here) * (30 * s**2 - 60 * s**3 + 30 * s**4) / duration,
    )
