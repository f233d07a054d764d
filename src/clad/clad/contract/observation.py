"""One observation of the robot at one control step, as every part of the library sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the robot saw and felt at one instant; all fields were captured together.

    step: control steps since the episode's first observation (which is step 0).
    images: camera name -> (H, W, 3) uint8 rgb, row 0 at the top, the true view.
    joint_position: (J,) rad. joint_velocity: (J,) rad/s. gripper_position: (G,) m.
    ee_position: (3,) m in the contract's base frame. ee_quaternion: (4,) xyzw of the hand in the base frame.
    """

    step: int
    images: Mapping[str, np.ndarray]
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    gripper_position: np.ndarray
    ee_position: np.ndarray
    ee_quaternion: np.ndarray
