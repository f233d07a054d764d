"""What goes into the safety filter and what comes out. Arrays are float64, SI units, in the contract's base frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

import numpy as np


class State(IntEnum):
    """What became of a command; the numbers are those of clad_interfaces/SafetyStatus."""

    PASS = 0  # unchanged, bit for bit
    CLAMP = 1  # changed to stay within the limits
    HOLD = 2  # refused: the arm comes to rest and stands
    ESTOP = 3  # as HOLD, until reset


class Reason(str, Enum):
    """Why a command was not passed. The strings are an interface: they are in diagnostics, bags and results."""

    NO_COMMAND = "no_command"  # there is none to execute now
    MALFORMED_COMMAND = "malformed_command"  # wrong type or number of values
    NAN_COMMAND = "nan_command"  # a value is NaN or infinite
    STALE_COMMAND = "stale_command"  # valid_until has passed
    NO_STATE = "no_state"  # nothing has been measured yet
    MALFORMED_STATE = "malformed_state"  # the measured state is incomplete, NaN or infinite
    STALE_STATE = "stale_state"  # the measured state is older than limits.staleness
    CLOCK = "clock"  # time stood still or ran backwards
    JOINT_POSITION = "joint_position"
    JOINT_VELOCITY = "joint_velocity"
    JOINT_ACCELERATION = "joint_acceleration"
    JOINT_JERK = "joint_jerk"
    CARTESIAN_VELOCITY = "cartesian_velocity"
    CARTESIAN_ACCELERATION = "cartesian_acceleration"
    WORKSPACE = "workspace"  # the end effector would leave the box
    DEVIATION = "deviation"  # the command is too far from where the arm is
    BLEND_IN = "blend_in"  # still growing from rest after activation
    DRY_RUN = "dry_run"  # nothing may move
    ESTOP = "estop"  # stopped by hand; latched until reset

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointCommand:
    """positions: (J,) rad. velocities: (J,) rad/s to feed forward, or None.

    gripper: -1 open to +1 close, or None to leave it as it is.
    valid_until: ns, the time after which this must not be executed, or None.
    """

    positions: np.ndarray
    velocities: np.ndarray | None = None
    gripper: float | None = None
    valid_until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CartesianCommand:
    """A pose (position and quaternion) or a twist (linear and angular): exactly one of the two.

    position: (3,) m. quaternion: (4,) xyzw, unit length. linear: (3,) m/s. angular: (3,) rad/s.
    gripper, valid_until: as in JointCommand.
    """

    position: np.ndarray | None = None
    quaternion: np.ndarray | None = None
    linear: np.ndarray | None = None
    angular: np.ndarray | None = None
    gripper: float | None = None
    valid_until: int | None = None


Command = JointCommand | CartesianCommand


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """Where the arm is. stamp: capture time, ns. joint_position: (J,) rad.

    ee_position: (3,) m, ee_quaternion: (4,) xyzw; None where the robot does not tell (joint commands need neither).
    """

    stamp: int
    joint_position: np.ndarray
    ee_position: np.ndarray | None = None
    ee_quaternion: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """command: what may be sent, of the kind that came in; None only while nothing has been measured: send nothing.

    reasons: every reason that applied, in the order of Reason; empty exactly when the state is PASS.
    """

    command: Command | None
    state: State
    reasons: tuple[Reason, ...]

    @property
    def stopped(self) -> bool:
        """Whether the arm was brought to rest instead of following."""
        return self.state >= State.HOLD
