"""DDPM ancestral sampling (Ho et al., 2020), what diffusers' DDPMScheduler computes by default.

The defaults that matter: leading time step spacing, the predicted sample clipped to [-1, 1], and the posterior's own
variance (`fixed_small`). Every step but the last adds fresh noise, which the caller draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clad.runtime import diffusion
from clad.runtime.diffusion import ONE, Sampler

LEAST_VARIANCE = np.float32(1e-20)


@dataclass(frozen=True, slots=True)
class DdpmStep:
    """One reverse step at `timestep`. signal, noise: square roots of alpha-bar and 1 - alpha-bar before it.

    The posterior of x at the next time step given x and the clean sample x_0 has the mean from_sample x_0 + from_noisy x
    and the standard deviation `spread`.
    """

    timestep: int
    signal: np.float32
    noise: np.float32
    from_sample: np.float32
    from_noisy: np.float32
    spread: np.float32


class Ddpm(Sampler):
    """Ancestral: the start and every step but the last draw noise of their own."""

    steps: list[DdpmStep]

    @property
    def draws(self) -> int:
        """One array a step: the start's, and one after each step but the last."""
        return len(self.steps)

    def _coefficients(self, timestep: int, now: np.float32, after: np.float32) -> DdpmStep:
        root = diffusion.root
        alpha = now / after
        beta, noise, next_noise = ONE - alpha, ONE - now, ONE - after
        return DdpmStep(
            timestep,
            signal=root(now),
            noise=root(noise),
            from_sample=(root(after) * beta) / noise,
            from_noisy=root(alpha) * next_noise / noise,
            spread=root(np.maximum(next_noise / noise * beta, LEAST_VARIANCE)),
        )

    def _back(self, step: DdpmStep, x: np.ndarray, prediction: np.ndarray, fresh: np.ndarray | None) -> np.ndarray:
        sample = prediction if self.predicts_sample else (x - step.noise * prediction) / step.signal
        mean = step.from_sample * np.clip(sample, -1.0, 1.0) + step.from_noisy * x
        return mean if fresh is None else mean + step.spread * fresh
