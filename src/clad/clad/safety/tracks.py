"""What the three kinds of command have in common for the filter: coordinates that are where they are and move at a velocity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from clad.contract import RobotContract
from clad.safety.limiter import Bounds, Window, stoppable_speed
from clad.safety.types import CartesianCommand, JointCommand, Measured, Reason

NO_LIMIT = np.inf
Forward = Callable[[np.ndarray], np.ndarray]


class Track:
    """The last command that left the filter, as n coordinates with velocity and acceleration; at rest to begin with."""

    reasons: dict[str, Reason]  # what a violated position, velocity, acceleration, jerk is called
    bounds: Bounds

    def __init__(self) -> None:
        n = len(self.bounds.velocity)
        self.velocity, self.acceleration = np.zeros(n), np.zeros(n)

    @property
    def at_rest(self) -> bool:
        return not self.velocity.any()

    def rest(self) -> None:
        """Stand still from here."""
        self.velocity, self.acceleration = np.zeros_like(self.velocity), np.zeros_like(self.velocity)

    def update(self, measured: Measured) -> None:
        """Where the arm is, before anything else is asked in a step."""

    def offset(self, command, dt: float) -> np.ndarray:
        """(n,) from here to where the command would be after dt."""
        raise NotImplementedError

    def wanted(self, command, dt: float) -> np.ndarray:
        """(n,) velocity towards the command from which one can stop at it."""
        offset = self.offset(command, dt)
        return np.sign(offset) * stoppable_speed(np.abs(offset), self.bounds.acceleration, dt)

    def blended(self, command, share: float):
        """The command at a share in [0, 1) of the way from where this track began."""
        raise NotImplementedError

    def within_reach(self, command, measured: Measured):
        """The command, or where it is too far from the measured arm, the nearest that is not."""
        return command

    def overfed(self, command, window: Window) -> set[str]:
        """{"velocity"} where the command feeds forward a velocity beyond the limit."""
        return set()

    def room(self) -> dict[str, np.ndarray]:
        """below, above: (n,) distances to the lower and the upper limit of position."""
        raise NotImplementedError

    def admits(self, offset: np.ndarray, dt: float) -> bool:
        """Whether a step of `offset` keeps to limits that no single coordinate knows of."""
        return True

    def move(self, velocity: np.ndarray, dt: float) -> None:
        """Advance by dt at a velocity (n,)."""
        self.acceleration = (velocity - self.velocity) / dt
        self.velocity = velocity

    def follow(self, command, dt: float) -> None:
        """Advance to exactly this command."""
        self.move(self.offset(command, dt) / dt, dt)

    def command(self, gripper: float | None):
        """What to send now."""
        raise NotImplementedError


class JointTrack(Track):
    """Joint positions, rad."""

    reasons = {
        "position": Reason.JOINT_POSITION,
        "velocity": Reason.JOINT_VELOCITY,
        "acceleration": Reason.JOINT_ACCELERATION,
        "jerk": Reason.JOINT_JERK,
    }

    def __init__(self, contract: RobotContract, measured: Measured, forward: Forward | None) -> None:
        limits, n = contract.limits, len(contract.joint_names)
        self.bounds = Bounds(
            velocity=_each(limits.joint_velocity, n),
            acceleration=_each(limits.joint_acceleration, n),
            jerk=_each(limits.joint_jerk, n),
        )
        position = limits.joint_position or [(-NO_LIMIT, NO_LIMIT)] * n
        self._lower, self._upper = np.array(position, dtype=np.float64).T
        self._reach = limits.max_deviation or NO_LIMIT
        self._box = limits.workspace if forward is not None else None
        self._forward = forward
        self.position = self._start = measured.joint_position
        super().__init__()

    def offset(self, command: JointCommand, dt: float) -> np.ndarray:
        return command.positions - self.position

    def blended(self, command: JointCommand, share: float) -> JointCommand:
        position = self._start + share * (command.positions - self._start)
        return JointCommand(positions=position, gripper=command.gripper)

    def within_reach(self, command: JointCommand, measured: Measured) -> JointCommand:
        near = np.clip(command.positions, measured.joint_position - self._reach, measured.joint_position + self._reach)
        if (near == command.positions).all():
            return command
        return JointCommand(positions=near, gripper=command.gripper)

    def overfed(self, command: JointCommand, window: Window) -> set[str]:
        return {"velocity"} if command.velocities is not None and window.too_fast(command.velocities) else set()

    def room(self) -> dict[str, np.ndarray]:
        return {"below": self.position - self._lower, "above": self._upper - self.position}

    def admits(self, offset: np.ndarray, dt: float) -> bool:
        """Inside the workspace after the step and after braking from it; from outside, any step that comes nearer."""
        if self._box is None:
            return True
        velocity, reached = offset / dt, self.position + offset
        stop = reached + velocity * np.abs(velocity) / (2 * self.bounds.acceleration)
        outside = max(self._outside(reached), self._outside(stop))
        return outside == 0 or outside < self._outside(self.position)

    def _outside(self, position: np.ndarray) -> float:
        """m by which the end effector is out of the box."""
        hand = self._forward(position)
        return float(np.max(np.maximum(self._box[0] - hand, hand - self._box[1]).clip(min=0)))

    def move(self, velocity: np.ndarray, dt: float) -> None:
        super().move(velocity, dt)
        self.position = self.position + velocity * dt

    def follow(self, command: JointCommand, dt: float) -> None:
        super().follow(command, dt)
        self.position = command.positions

    def command(self, gripper: float | None) -> JointCommand:
        return JointCommand(positions=self.position.copy(), velocities=self.velocity.copy(), gripper=gripper)


class _CartesianTrack(Track):
    """Three coordinates along and three about the axes of the base frame."""

    reasons = {
        "position": Reason.WORKSPACE,
        "velocity": Reason.CARTESIAN_VELOCITY,
        "acceleration": Reason.CARTESIAN_ACCELERATION,
        "jerk": Reason.CARTESIAN_ACCELERATION,  # never: Cartesian jerk has no limit
    }

    def __init__(self, contract: RobotContract, measured: Measured, forward: Forward | None) -> None:
        limits = contract.limits
        self.bounds = Bounds(
            velocity=_six(limits.linear_velocity, limits.angular_velocity),
            acceleration=_six(limits.linear_acceleration, limits.angular_acceleration),
            jerk=np.full(6, NO_LIMIT),
        )
        self._lower, self._upper = limits.workspace or (np.full(3, -NO_LIMIT), np.full(3, NO_LIMIT))
        self.position = measured.ee_position
        super().__init__()

    def room(self) -> dict[str, np.ndarray]:
        turning = np.full(3, NO_LIMIT)
        return {
            "below": np.append(self.position - self._lower, turning),
            "above": np.append(self._upper - self.position, turning),
        }


class PoseTrack(_CartesianTrack):
    """A pose, m and quaternion."""

    def __init__(self, contract: RobotContract, measured: Measured, forward: Forward | None) -> None:
        super().__init__(contract, measured, forward)
        self._reach = contract.limits.max_distance or NO_LIMIT
        self._rotation = Rotation.from_quat(measured.ee_quaternion)
        self._start = (self.position, self._rotation)

    def offset(self, command: CartesianCommand, dt: float) -> np.ndarray:
        turn = Rotation.from_quat(command.quaternion) * self._rotation.inv()
        return np.append(command.position - self.position, turn.as_rotvec())

    def blended(self, command: CartesianCommand, share: float) -> CartesianCommand:
        position, rotation = self._start
        turn = (Rotation.from_quat(command.quaternion) * rotation.inv()).as_rotvec()
        return CartesianCommand(
            position=position + share * (command.position - position),
            quaternion=(Rotation.from_rotvec(share * turn) * rotation).as_quat(),
            gripper=command.gripper,
        )

    def within_reach(self, command: CartesianCommand, measured: Measured) -> CartesianCommand:
        away = command.position - measured.ee_position
        distance = np.linalg.norm(away)
        if not distance > self._reach:
            return command
        near = measured.ee_position + away * (self._reach / distance)
        return CartesianCommand(position=near, quaternion=command.quaternion, gripper=command.gripper)

    def move(self, velocity: np.ndarray, dt: float) -> None:
        super().move(velocity, dt)
        self.position = self.position + velocity[:3] * dt
        self._rotation = Rotation.from_rotvec(velocity[3:] * dt) * self._rotation

    def follow(self, command: CartesianCommand, dt: float) -> None:
        super().follow(command, dt)
        self.position, self._rotation = command.position, Rotation.from_quat(command.quaternion)

    def command(self, gripper: float | None) -> CartesianCommand:
        return CartesianCommand(position=self.position.copy(), quaternion=self._rotation.as_quat(), gripper=gripper)


class TwistTrack(_CartesianTrack):
    """A velocity, m/s and rad/s; its position is always the measured one."""

    def rest(self) -> None:
        """Stand still from here."""
        self.velocity, self.acceleration = np.zeros_like(self.velocity), np.zeros_like(self.velocity)

    def update(self, measured: Measured) -> None:
        if measured.ee_position is not None:
            self.position = measured.ee_position

    def offset(self, command: CartesianCommand, dt: float) -> np.ndarray:
        return np.append(command.linear, command.angular) * dt

    def wanted(self, command: CartesianCommand, dt: float) -> np.ndarray:
        return np.append(command.linear, command.angular)

    def blended(self, command: CartesianCommand, share: float) -> CartesianCommand:
        return CartesianCommand(linear=share * command.linear, angular=share * command.angular, gripper=command.gripper)

    def command(self, gripper: float | None) -> CartesianCommand:
        return CartesianCommand(linear=self.velocity[:3].copy(), angular=self.velocity[3:].copy(), gripper=gripper)


def _each(limit: tuple[float, ...] | None, n: int) -> np.ndarray:
    return np.full(n, NO_LIMIT) if limit is None else np.array(limit, dtype=np.float64)


def _six(linear: float | None, angular: float | None) -> np.ndarray:
    return np.repeat([linear or NO_LIMIT, angular or NO_LIMIT], 3).astype(np.float64)
