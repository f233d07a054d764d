"""Stamps and durations as integer nanoseconds, and stamps as control steps.

Floating seconds are never compared: two stamps are equal or they are not.
"""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time

from clad.contract import RobotContract
from clad.errors import CladError
from clad.stamps import SECOND, to_ns

__all__ = [
    "SECOND",
    "control_period_ns",
    "duration_msg",
    "seconds_to_ns",
    "step_of",
    "time_msg",
    "to_ns",
]


def time_msg(ns: int) -> Time:
    """The Time of non-negative nanoseconds."""
    return Time(sec=ns // SECOND, nanosec=ns % SECOND)


def duration_msg(ns: int) -> Duration:
    """The Duration of nanoseconds; a negative one has a negative `sec` and a positive `nanosec`, as ROS has it."""
    return Duration(sec=ns // SECOND, nanosec=ns % SECOND)


def seconds_to_ns(seconds: float) -> int:
    """Wall seconds as measured to the nearest nanosecond."""
    return round(seconds * SECOND)


def control_period_ns(contract: RobotContract) -> int:
    """What one control step lasts, ns."""
    return round(SECOND / contract.control_rate)


def step_of(stamp: int, start: int, period: int) -> int:
    """Control steps between an episode's first observation and `stamp`, all in ns, to the nearest step.

    Raises CladError for a stamp before the episode's start: such an observation belongs to another episode.
    """
    step = (2 * (stamp - start) + period) // (2 * period)
    if step < 0:
        raise CladError(f"stamp {stamp} ns lies before the episode's start at {start} ns")
    return step
