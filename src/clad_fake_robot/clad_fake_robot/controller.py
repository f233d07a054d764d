"""What an arm's controllers make of commands: one reference that the servo follows.

Trajectories are treated as ros2_control's joint trajectory controller does: refused for the same reasons, and a new one
takes over from where the last one is; up to its first point the arm moves on a cubic from there. Poses and twists are
followed by way of inverse kinematics, as a Cartesian controller would.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clad.errors import CladError
from clad.robot.kinematics import Kinematics
from clad.robot.pose import moved
from clad.robot.trajectory import Trajectory, onward, standing
from clad.stamps import SECOND

COAST = 0.1  # s in which the arm comes to rest after the last pose or twist


class Controller:
    """reference: what the servo is to follow. largest_jump: rad, the farthest that a new trajectory has put it off.

    period: s between two poses or twists.
    """

    def __init__(
        self, joint_names: Sequence[str], joints: np.ndarray, kinematics: Kinematics, *, period: float, now: int
    ) -> None:
        self._names, self._kinematics, self._period = tuple(joint_names), kinematics, period
        self._trajectory = standing(joints, now)
        self.largest_jump = 0.0

    def take_trajectory(
        self,
        names: Sequence[str],
        positions: Sequence[Sequence[float]],
        velocities: Sequence[Sequence[float]],
        times: Sequence[int],
        *,
        stamp: int,
        now: int,
    ) -> None:
        """A JointTrajectory. times: time_from_start of each point, ns. stamp: its header's, ns; 0 means now.

        Raises CladError, and goes on with the last trajectory, for one that a real controller would refuse.
        """
        start = stamp or now
        times = np.asarray(times, dtype=np.int64)
        if sorted(names) != sorted(self._names):
            raise CladError(f"trajectory refused: its joints are {', '.join(names) or 'none'}")
        if len(times) == 0 or (np.diff(times) <= 0).any() or times[0] < 0:
            raise CladError("trajectory refused: the times of its points do not increase")
        if start + times[-1] < now:
            raise CladError("trajectory refused: it ends in the past")
        order = [list(names).index(name) for name in self._names]
        try:
            position = np.array(positions, dtype=np.float64)[:, order]
            velocity = np.array(velocities, dtype=np.float64)[:, order]
        except (ValueError, IndexError):
            raise CladError("trajectory refused: a point lacks a position or a velocity") from None
        if not (np.isfinite(position).all() and np.isfinite(velocity).all()):
            raise CladError("trajectory refused: a number is not finite")
        if velocity[-1].any():
            raise CladError("trajectory refused: it does not end at rest")
        here, speed = self.reference(now)
        if start + times[0] > now:
            position, velocity = np.vstack([here, position]), np.vstack([speed, velocity])
            times, start = np.append(0, start + times - now), now
        taken = Trajectory(
            start=start + int(times[0]), times=(times - times[0]) / SECOND, positions=position, velocities=velocity
        )
        self.largest_jump = max(self.largest_jump, float(np.abs(taken.sample(now)[0] - here).max()))
        self._trajectory = taken

    def take_pose(self, position: np.ndarray, quaternion: np.ndarray, now: int) -> None:
        """A target pose: where the hand is to be, at rest, one period from now."""
        joints = self._kinematics.inverse(position, quaternion, self.reference(now)[0]).joints
        self._go(joints, np.zeros_like(joints), now)

    def take_twist(self, linear: np.ndarray, angular: np.ndarray, now: int) -> None:
        """A velocity of the hand in the base frame, for one period; without the next one the arm comes to rest."""
        here = self.reference(now)[0]
        motion = np.concatenate([linear, angular]) * self._period
        joints = self._kinematics.inverse(*moved(*self._kinematics.forward(here), motion), here).joints
        self._go(joints, (joints - here) / self._period, now)

    def _go(self, joints: np.ndarray, velocity: np.ndarray, now: int) -> None:
        self._trajectory = onward(self._trajectory, now, joints, velocity, period=self._period, stop_time=COAST)

    def reference(self, now: int) -> tuple[np.ndarray, np.ndarray]:
        """Position and velocity (J,), rad and rad/s, at `now`, ns."""
        return self._trajectory.sample(now)
