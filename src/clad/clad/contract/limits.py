"""What a robot may be told to do: the `limits:` section of its contract, read by clad.safety and by nobody else.

Limits are no part of the contract's hash: tightening a limit does not make a model foreign to its robot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

POLICIES = ("clamp", "hold")


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyLimits:
    """Limits on commands. A limit that is None (absent from the YAML) is not checked; J is the number of arm joints.

    joint_position: J pairs (lower, upper), rad. joint_velocity, joint_acceleration, joint_jerk: J each, in rad/s, rad/s^2
    and rad/s^3, of finite differences of the commanded positions.
    workspace: ((x, y, z) lower, (x, y, z) upper), m, base frame, for the end effector.
    linear_velocity, linear_acceleration (m/s, m/s^2), angular_velocity, angular_acceleration (rad/s, rad/s^2): of Cartesian
    commands, along or about each axis of the base frame.
    max_deviation: rad, how far a commanded joint may be from the measured one. max_distance: m, the same for a pose.
    staleness: s, the oldest measured state that a command may be based on.
    policy: what happens beyond a limit: `clamp` gives the nearest command within the limits, `hold` comes to rest.
    blend_in: s from activation until a command is followed fully; 0 follows at once.
    speed_scale: in (0, 1], multiplies the velocity limits.
    """

    joint_position: tuple[tuple[float, float], ...] | None = None
    joint_velocity: tuple[float, ...] | None = None
    joint_acceleration: tuple[float, ...] | None = None
    joint_jerk: tuple[float, ...] | None = None
    workspace: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    linear_velocity: float | None = None
    linear_acceleration: float | None = None
    angular_velocity: float | None = None
    angular_acceleration: float | None = None
    max_deviation: float | None = None
    max_distance: float | None = None
    staleness: float = 0.5
    policy: str = "clamp"
    blend_in: float = 0.0
    speed_scale: float = 1.0


def limit_problems(limits: SafetyLimits, joints: int) -> list[str]:
    """Everything that is wrong with the limits of an arm with so many joints, in words; empty for good ones."""
    problems = []
    for name in ("joint_velocity", "joint_acceleration", "joint_jerk"):
        values = getattr(limits, name)
        if values is not None and (len(values) != joints or not all(_positive(v) for v in values)):
            problems.append(f"limits.{name} must be {joints} positive numbers")
    if limits.joint_position is not None and not (
        len(limits.joint_position) == joints and all(_interval(pair) for pair in limits.joint_position)
    ):
        problems.append(f"limits.joint_position must be {joints} pairs [lower, upper]")
    if limits.workspace is not None and not (
        len(limits.workspace) == 2
        and all(len(corner) == 3 for corner in limits.workspace)
        and all(_interval(pair) for pair in zip(*limits.workspace, strict=True))
    ):
        problems.append("limits.workspace must be [[x, y, z] lower, [x, y, z] upper]")
    for name in (
        "linear_velocity", "linear_acceleration", "angular_velocity", "angular_acceleration", "max_deviation",
        "max_distance", "staleness",
    ):  # fmt: skip
        value = getattr(limits, name)
        if value is not None and not _positive(value):
            problems.append(f"limits.{name} must be a positive number")
    if limits.joint_position is not None and limits.joint_acceleration is None:
        problems.append("limits.joint_position needs limits.joint_acceleration: without it no joint can stop in time")
    if limits.policy not in POLICIES:
        problems.append(f"limits.policy '{limits.policy}' is none of {', '.join(POLICIES)}")
    if not (_number(limits.blend_in) and limits.blend_in >= 0):
        problems.append("limits.blend_in must be 0 or a positive number of seconds")
    if not (_number(limits.speed_scale) and 0 < limits.speed_scale <= 1):
        problems.append("limits.speed_scale must be in (0, 1]")
    return problems


def _number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _positive(value) -> bool:
    return _number(value) and value > 0


def _interval(pair) -> bool:
    return len(pair) == 2 and all(_number(v) for v in pair) and pair[0] < pair[1]
