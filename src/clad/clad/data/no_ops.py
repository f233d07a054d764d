"""Steps at which a demonstrator does nothing: imitated, they teach a policy to stall."""

from __future__ import annotations

import numpy as np

STILL = 0.02  # native motion below which the hand stays where it is: 1 mm or 0.6 degrees a step
FINGERS_STILL = 5e-4  # m a step


def no_ops(expert: np.ndarray, gripper_position: np.ndarray) -> np.ndarray:
    """(T,) bool: neither motion, nor a new gripper command, nor fingers that still move.

    expert: (T, 7) native actions, the gripper's last. gripper_position: (T, 2) m before each action. Such steps are
    marked as not worth imitating and never dropped: rows are one control period apart. Waiting for the fingers is
    work, so it is no no-op.
    """
    still = np.abs(expert[:, :-1]).max(axis=1) < STILL
    same = np.concatenate([[False], expert[1:, -1] == expert[:-1, -1]])
    moving = np.abs(np.diff(gripper_position, axis=0, append=gripper_position[-1:])).max(axis=1)
    return still & same & (moving < FINGERS_STILL)
