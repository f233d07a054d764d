"""The way to where an episode begins, as one command per control step. Goes through the safety filter like all else."""

from __future__ import annotations

import numpy as np

from clad.contract import RobotContract
from clad.robot.pose import limited, motion_between, moved
from clad.robot.trajectory import rest_to_rest
from clad.safety import CartesianCommand, JointCommand, Measured
from clad.stamps import SECOND

OPEN = -1.0
NEAR_JOINTS, NEAR_POSITION, NEAR_ANGLE = 0.02, 0.01, 0.05  # rad, m, rad: home is reached
TURN = 3.0  # rad/s that are allowed per m/s of home_speed
PATIENCE = 10.0  # s beyond what the way should take


class Homing:
    """Begun at `now`, ns, from where the arm is measured."""

    def __init__(self, contract: RobotContract, measured: Measured, now: int) -> None:
        driver = contract.driver
        self._kind, self._speed = driver.kind, driver.home_speed
        self._period, self._home = contract.control_period, np.array(driver.home)
        self._pose = measured.ee_position, measured.ee_quaternion
        if self._kind == "joint_trajectory":
            self._way = rest_to_rest(measured.joint_position, self._home, self._speed, now)
            seconds = self._way.times[-1]
        else:
            seconds = np.linalg.norm(self._home[:3] - measured.ee_position) / self._speed
        self.deadline = now + round((seconds + PATIENCE) * SECOND)

    def command(self, measured: Measured, now: int) -> JointCommand | CartesianCommand:
        """Where to be one control period from `now`."""
        if self._kind == "joint_trajectory":
            position, velocity = self._way.sample(now + round(self._period * SECOND))
            return JointCommand(positions=position, velocities=velocity, gripper=OPEN)
        step = self._period * self._speed, self._period * self._speed * TURN
        self._pose = moved(*self._pose, limited(motion_between(*self._pose, self._home[:3], self._home[3:]), *step))
        if self._kind == "pose":
            return CartesianCommand(position=self._pose[0], quaternion=self._pose[1], gripper=OPEN)
        behind = motion_between(measured.ee_position, measured.ee_quaternion, *self._pose)
        twist = limited(behind, *step) / self._period
        return CartesianCommand(linear=twist[:3], angular=twist[3:], gripper=OPEN)

    def error(self, measured: Measured, now: int) -> str:
        """What is still missing, in words; empty when the arm is at home."""
        if self._kind == "joint_trajectory":
            off = np.abs(measured.joint_position - self._home).max()
            return "" if off < NEAR_JOINTS and now >= self._way.end else f"a joint is {off:.3f} rad from home"
        off = motion_between(measured.ee_position, measured.ee_quaternion, self._home[:3], self._home[3:])
        distance, angle = np.linalg.norm(off[:3]), np.linalg.norm(off[3:])
        near = distance < NEAR_POSITION and angle < NEAR_ANGLE
        return "" if near else f"the hand is {distance:.3f} m and {angle:.2f} rad from home"
