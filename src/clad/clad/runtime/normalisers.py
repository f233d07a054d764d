"""The two normalisations that travel with a model. Training and run time both call these, so they cannot differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Standardiser:
    """(x - mean) / std, clipped to +-clip. mean, std: (D,) float32; clip: in standard deviations."""

    mean: np.ndarray
    std: np.ndarray
    clip: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(..., D) in the data's own units to float32 (..., D), dimensionless."""
        return np.clip((np.asarray(x, dtype=np.float32) - self.mean) / self.std, -self.clip, self.clip)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """(..., D) dimensionless back to the data's own units, float32 (what was clipped stays clipped)."""
        return np.asarray(z, dtype=np.float32) * self.std + self.mean


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionScaler:
    """Min-max scaling of native actions to [-1, 1] (equations' a_{t-tau:t}). low, high: (N,) float64, low < high."""

    low: np.ndarray
    high: np.ndarray

    def __call__(self, native: np.ndarray) -> np.ndarray:
        """(..., N) native driver units to float32 (..., N), clipped to [-1, 1]."""
        scaled = 2.0 * (np.asarray(native, dtype=np.float64) - self.low) / (self.high - self.low) - 1.0
        return np.clip(scaled, -1.0, 1.0).astype(np.float32)

    def inverse(self, scaled: np.ndarray) -> np.ndarray:
        """(..., N) in [-1, 1] to native driver units, float64."""
        return (np.asarray(scaled, dtype=np.float64) + 1.0) / 2.0 * (self.high - self.low) + self.low
