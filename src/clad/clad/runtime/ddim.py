"""DDIM sampling (eta = 0), what diffusers' DDIMScheduler computes by default.

The defaults that matter: leading time step spacing, final alpha-bar of 1, the predicted sample clipped to [-1, 1], and
the noise direction taken from the unclipped prediction (`use_clipped_model_output=False`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clad.runtime import diffusion
from clad.runtime.diffusion import ONE, Sampler


@dataclass(frozen=True, slots=True)
class DdimStep:
    """One reverse step at `timestep`: square roots of alpha-bar and 1 - alpha-bar, before and after."""

    timestep: int
    signal: np.float32
    noise: np.float32
    next_signal: np.float32
    next_noise: np.float32


class Ddim(Sampler):
    """Deterministic: one array of noise decides the whole sample."""

    steps: list[DdimStep]

    def _coefficients(self, timestep: int, now: np.float32, after: np.float32) -> DdimStep:
        return DdimStep(timestep, *(diffusion.root(value) for value in (now, ONE - now, after, ONE - after)))

    def _back(self, step: DdimStep, x: np.ndarray, prediction: np.ndarray, fresh: np.ndarray | None) -> np.ndarray:
        if self.predicts_sample:
            sample, epsilon = prediction, (x - step.signal * prediction) / step.noise
        else:
            sample, epsilon = (x - step.noise * prediction) / step.signal, prediction
        return step.next_signal * np.clip(sample, -1.0, 1.0) + step.next_noise * epsilon
