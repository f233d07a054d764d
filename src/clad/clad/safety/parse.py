"""Commands and measurements as they come, good or not, to arrays that can be computed with. Nothing here raises."""

from __future__ import annotations

import numpy as np

from clad.safety.types import CartesianCommand, Command, JointCommand, Measured, Reason

_UNIT = 1e-3  # how far a quaternion's length may be from one


class Bad(Exception):
    """The reason why a value cannot be used; never leaves this package."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


def parse_command(command, joints: int, now: int) -> Command:
    """The same command with float64 arrays. Raises Bad."""
    if command is None:
        raise Bad(Reason.NO_COMMAND)
    if isinstance(command, JointCommand):
        parsed = JointCommand(
            positions=_vector(command.positions, joints),
            velocities=None if command.velocities is None else _vector(command.velocities, joints),
            gripper=_gripper(command.gripper),
        )
    elif not isinstance(command, CartesianCommand):
        raise Bad(Reason.MALFORMED_COMMAND)
    elif (command.linear is None) != (command.angular is None) or (command.linear is None) == (
        command.position is None
    ):
        raise Bad(Reason.MALFORMED_COMMAND)
    elif command.linear is not None:
        parsed = CartesianCommand(
            linear=_vector(command.linear, 3), angular=_vector(command.angular, 3), gripper=_gripper(command.gripper)
        )
    else:
        parsed = CartesianCommand(
            position=_vector(command.position, 3),
            quaternion=_quaternion(command.quaternion),
            gripper=_gripper(command.gripper),
        )
    if command.valid_until is not None and now > command.valid_until:
        raise Bad(Reason.STALE_COMMAND)
    return parsed


def parse_measured(measured, joints: int, now: int, oldest: int, *, hand: bool) -> Measured:
    """The same measurement with float64 arrays. Raises Bad.

    oldest: ns that it may lie before (or after) now. hand: whether the end effector's pose is needed.
    """
    if measured is None:
        raise Bad(Reason.NO_STATE)
    try:
        parsed = Measured(
            stamp=measured.stamp,
            joint_position=_vector(measured.joint_position, joints),
            ee_position=None if measured.ee_position is None else _vector(measured.ee_position, 3),
            ee_quaternion=None if measured.ee_quaternion is None else _quaternion(measured.ee_quaternion),
        )
    except (Bad, AttributeError):
        raise Bad(Reason.MALFORMED_STATE) from None
    if hand and (parsed.ee_position is None or parsed.ee_quaternion is None):
        raise Bad(Reason.MALFORMED_STATE)
    if abs(now - parsed.stamp) > oldest:
        raise Bad(Reason.STALE_STATE)
    return parsed


def _vector(value, n: int) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise Bad(Reason.MALFORMED_COMMAND) from None
    if array.shape != (n,):
        raise Bad(Reason.MALFORMED_COMMAND)
    if not np.isfinite(array).all():
        raise Bad(Reason.NAN_COMMAND)
    return array


def _quaternion(value) -> np.ndarray:
    array = _vector(value, 4)
    if not abs(np.linalg.norm(array) - 1.0) <= _UNIT:
        raise Bad(Reason.MALFORMED_COMMAND)
    return array


def _gripper(value) -> float | None:
    if value is None:
        return None
    (number,) = _vector([value], 1)
    if not -1 <= number <= 1:
        raise Bad(Reason.MALFORMED_COMMAND)
    return float(number)
