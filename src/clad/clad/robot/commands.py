"""One action of a chunk to one command of a driver, and back: what was sent, in the units that a planner knows.

Cartesian actions are relative to the *measured* pose at each step, as ActionChunk says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clad.contract import RobotContract, wire_to_native
from clad.contract.driver import CARTESIAN
from clad.robot.pose import motion_between, moved
from clad.robot.trajectory import knot_velocity
from clad.safety import CartesianCommand, JointCommand, Measured
from clad.safety.types import Command

if TYPE_CHECKING:  # it needs MuJoCo, which an arm with a Cartesian controller can do without
    from clad.robot.kinematics import Kinematics


class Converter:
    """For one contract with a driver. kinematics: needed for Cartesian actions over a joint_trajectory."""

    def __init__(self, contract: RobotContract, kinematics: Kinematics | None) -> None:
        self._spec, self._kind = contract.action, contract.driver.kind
        self._period, self._kinematics = contract.control_period, kinematics
        self._motion = np.arange(len(self._spec.names)) != self._spec.gripper_index

    def command(
        self, action: np.ndarray, following: np.ndarray | None, measured: Measured, reference: np.ndarray
    ) -> Command:
        """What to send for `action` (N,), wire units. following: the chunk's next action, None after its last.

        reference: (J,) rad, where the arm is commanded to be now; a joint command's velocity is relative to it.
        """
        gripper = float(np.sign(action[self._spec.gripper_index]))
        motion = np.asarray(action, dtype=np.float64)[self._motion]
        if self._kind == "twist":
            twist = self._motion_of(motion, measured) / self._period
            return CartesianCommand(linear=twist[:3], angular=twist[3:], gripper=gripper)
        if self._kind == "pose":
            position, quaternion = self._pose_of(motion, measured.ee_position, measured.ee_quaternion)
            return CartesianCommand(position=position, quaternion=quaternion, gripper=gripper)
        target = self._joints_of(motion, measured.joint_position)
        next_target = target
        if following is not None:
            next_target = self._joints_of(np.asarray(following, dtype=np.float64)[self._motion], target)
        # the next step will differ from this one as the next action does: both lag alike behind the measured joints
        step, change = target - reference, (next_target - target) - (target - measured.joint_position)
        velocity = knot_velocity(step / self._period, (step + change) / self._period)
        return JointCommand(positions=target, velocities=velocity, gripper=gripper)

    def executed(self, command: Command, measured: Measured, gripper: float) -> np.ndarray:
        """The native action (N,) that `command` amounts to; of one that was changed on its way to the driver."""
        wire = np.empty(len(self._spec.names))
        wire[self._spec.gripper_index] = gripper
        wire[self._motion] = self._wire_motion(command, measured)
        return wire_to_native(wire, self._spec)

    # --- internals: a motion is the action without its gripper

    def _pose_of(self, motion: np.ndarray, position: np.ndarray, quaternion: np.ndarray):
        representation = self._spec.representation
        if representation == "EE_POSE":
            return motion[:3], motion[3:] / np.linalg.norm(motion[3:])
        return moved(position, quaternion, motion * (self._period if representation == "EE_TWIST" else 1.0))

    def _motion_of(self, motion: np.ndarray, measured: Measured) -> np.ndarray:
        pose = self._pose_of(motion, measured.ee_position, measured.ee_quaternion)
        return motion_between(measured.ee_position, measured.ee_quaternion, *pose)

    def _joints_of(self, motion: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Where a motion leads from `joints`; the joints measured there are the model's, so the pose is too."""
        if self._spec.representation == "JOINT_POSITION":
            return motion
        if self._spec.representation == "JOINT_DELTA":
            return joints + motion
        return self._kinematics.inverse(*self._pose_of(motion, *self._kinematics.forward(joints)), joints).joints

    def _wire_motion(self, command: Command, measured: Measured) -> np.ndarray:
        representation = self._spec.representation
        if representation not in CARTESIAN:
            relative = representation == "JOINT_DELTA"
            return command.positions - (measured.joint_position if relative else 0.0)
        here = measured.ee_position, measured.ee_quaternion
        if isinstance(command, JointCommand):
            here = self._kinematics.forward(measured.joint_position)
            there = self._kinematics.forward(command.positions)
        elif command.position is not None:
            there = command.position, command.quaternion
        else:
            there = moved(*here, np.concatenate([command.linear, command.angular]) * self._period)
        if representation == "EE_POSE":
            return np.concatenate(there)
        return motion_between(*here, *there) / (self._period if representation == "EE_TWIST" else 1.0)
