"""DDIM sampling (eta = 0) in float32 numpy, bit for bit what diffusers' DDIMScheduler computes by default.

The defaults that matter: leading time step spacing, final alpha-bar of 1, the predicted sample clipped to [-1, 1], and
the noise direction taken from the unclipped prediction (`use_clipped_model_output=False`). Square roots are rounded
correctly here; torch's are now and then one unit in the last place off, which shows with very many sampling steps only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clad.errors import CladError

PREDICTIONS = ("sample", "epsilon")
MAX_BETA = 0.999


def alphas_bar(train_steps: int) -> np.ndarray:
    """Cumulative products of (1 - beta) of the cosine schedule `squaredcos_cap_v2`: (train_steps,) float32."""

    def alpha_bar(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    steps = range(train_steps)
    betas = [min(1 - alpha_bar((i + 1) / train_steps) / alpha_bar(i / train_steps), MAX_BETA) for i in steps]
    alphas = np.float32(1.0) - np.asarray(betas, dtype=np.float32)
    # torch multiplies up in double precision and rounds each product
    return np.cumprod(alphas.astype(np.float64)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Step:
    """One reverse step at `timestep`: square roots of alpha-bar and 1 - alpha-bar, before and after."""

    timestep: int
    signal: np.float32
    noise: np.float32
    next_signal: np.float32
    next_noise: np.float32


class Ddim:
    """A sampler whose coefficients are computed once.

    Raises CladError for a prediction type or step counts that it cannot sample.
    """

    def __init__(self, *, train_steps: int, sample_steps: int, prediction: str) -> None:
        if prediction not in PREDICTIONS:
            raise CladError(f"diffusion prediction '{prediction}' is none of {', '.join(PREDICTIONS)}", "Export again")
        if not 1 <= sample_steps <= train_steps:
            raise CladError(f"{sample_steps} sampling steps of {train_steps} training steps", "Use 1 up to train_steps")
        self.predicts_sample = prediction == "sample"
        ab, one, stride = alphas_bar(train_steps), np.float32(1.0), train_steps // sample_steps
        self.steps: list[_Step] = []
        for t in range((sample_steps - 1) * stride, -1, -stride):
            now, after = ab[t], ab[t - stride] if t >= stride else one
            self.steps.append(_Step(t, np.sqrt(now), np.sqrt(one - now), np.sqrt(after), np.sqrt(one - after)))

    @property
    def timesteps(self) -> list[int]:
        """The time steps visited, from noise to sample."""
        return [step.timestep for step in self.steps]

    def __call__(self, denoise: Callable[[np.ndarray, int], np.ndarray], noise: np.ndarray) -> np.ndarray:
        """From `noise` (any shape, float32) to a sample in [-1, 1]; `denoise(x, timestep)` is the trained network."""
        x = noise
        for step in self.steps:
            prediction = denoise(x, step.timestep)
            if self.predicts_sample:
                sample, epsilon = prediction, (x - step.signal * prediction) / step.noise
            else:
                sample, epsilon = (x - step.noise * prediction) / step.signal, prediction
            x = step.next_signal * np.clip(sample, -1.0, 1.0) + step.next_noise * epsilon
        return x
