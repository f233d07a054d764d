"""Time as ROS and MCAP have it: whole nanoseconds. Two stamps are equal or they are not; floating seconds are never compared."""

from __future__ import annotations

from typing import Any

SECOND = 10**9  # ns


def to_ns(stamp: Any) -> int:
    """Nanoseconds of a Time or a Duration, whoever decoded it."""
    return stamp.sec * SECOND + stamp.nanosec


def seconds(ns: int) -> float:
    """Nanoseconds as seconds."""
    return ns / SECOND
