"""Small motions of a pose. A pose is a position (3,) m and a quaternion (4,) xyzw, both in the base frame.

A motion is (6,): metres, then a rotation vector in rad, both along the axes of the base frame, about the pose's own
origin. This is the meaning of OSC_POSE_DELTA, as robosuite's controller has it.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial.transform import Rotation


def moved(position: np.ndarray, quaternion: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pose after `motion`; the inverse of `motion_between`."""
    turned = Rotation.from_rotvec(motion[3:]) * Rotation.from_quat(quaternion)
    return np.asarray(position) + motion[:3], turned.as_quat()


def motion_between(
    position: np.ndarray, quaternion: np.ndarray, to_position: np.ndarray, to_quaternion: np.ndarray
) -> np.ndarray:
    """The shortest motion (6,) from one pose to another.

    Written out in scalars: inverse kinematics calls it up to a hundred times a control step, and scipy's Rotation takes
    34 microseconds where this takes 2. The quaternions need not be of length 1.
    """
    (ax, ay, az, aw), (bx, by, bz, bw) = np.asarray(quaternion).tolist(), np.asarray(to_quaternion).tolist()
    # b times the conjugate of a
    x = -bw * ax + bx * aw - by * az + bz * ay
    y = -bw * ay + bx * az + by * aw - bz * ax
    z = -bw * az - bx * ay + by * ax + bz * aw
    w = bw * aw + bx * ax + by * ay + bz * az
    sine = math.sqrt(x * x + y * y + z * z)
    # a quaternion and its negative are one rotation: the shorter way round
    scale = 2 * math.atan2(math.copysign(sine, w), abs(w)) / sine if sine else 0.0
    return np.concatenate([np.asarray(to_position) - position, (scale * x, scale * y, scale * z)])


def limited(motion: np.ndarray, distance: float, angle: float) -> np.ndarray:
    """`motion`, shortened as a whole until it moves no more than `distance` m and turns no more than `angle` rad."""
    worst = max(np.linalg.norm(motion[:3]) / distance, np.linalg.norm(motion[3:]) / angle, 1.0)
    return motion / worst
