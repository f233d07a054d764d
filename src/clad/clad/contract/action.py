"""The one home of action scaling: wire (SI units, what ActionChunk carries) <-> native (what the driver takes)."""

from __future__ import annotations

import numpy as np

from clad.contract.robot import ActionSpec


def native_to_wire(action: np.ndarray, spec: ActionSpec) -> np.ndarray:
    """Driver units (..., N) in [-1, 1] to SI units, float64."""
    return np.asarray(action, dtype=np.float64) * np.asarray(spec.scale)


def wire_to_native(action: np.ndarray, spec: ActionSpec) -> np.ndarray:
    """SI units (..., N) to driver units, float64, clipped to [-1, 1]; the gripper becomes exactly -1 or +1."""
    native = np.clip(np.asarray(action, dtype=np.float64) / np.asarray(spec.scale), -1.0, 1.0)
    native[..., spec.gripper_index] = np.where(native[..., spec.gripper_index] > 0, 1.0, -1.0)
    return native


def hold_action(spec: ActionSpec, gripper: float = -1.0) -> np.ndarray:
    """The native action (N,) that stays where it is: zero motion, the gripper as given (-1 open, +1 close)."""
    action = np.zeros(len(spec.names))
    action[spec.gripper_index] = gripper
    return action
