"""What the samplers share: the noise schedule, the steps they visit, and the loop from noise to a chunk.

Everything is float32 numpy, operation by operation what diffusers' schedulers do in torch, with one difference: square
roots are rounded correctly here, as IEEE 754 defines them. Torch leaves float32 roots to MKL, whose last bit depends on
the CPU (correct with AVX2; 0.6 % of all roots one unit off with AVX-512, 17 % with SSE4.2), so that diffusers' own
results change from one machine to the next. Ours are a function of the model and the noise alone. Given the same roots
the two agree bit for bit, for every number of steps, and so they do wherever torch's roots are correct.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import numpy as np

from clad.errors import CladError

PREDICTIONS = ("sample", "epsilon")
MAX_BETA = 0.999
ONE = np.float32(1.0)

root = np.sqrt  # correctly rounded on every CPU


def alphas_bar(train_steps: int) -> np.ndarray:
    """Cumulative products of (1 - beta) of the cosine schedule `squaredcos_cap_v2`: (train_steps,) float32."""

    def alpha_bar(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    steps = range(train_steps)
    betas = [min(1 - alpha_bar((i + 1) / train_steps) / alpha_bar(i / train_steps), MAX_BETA) for i in steps]
    alphas = ONE - np.asarray(betas, dtype=np.float32)
    # torch multiplies up in double precision and rounds each product
    return np.cumprod(alphas.astype(np.float64)).astype(np.float32)


class Sampler(ABC):
    """The reverse process with `sample_steps` of `train_steps` steps, evenly spaced and ending at 0 ('leading').

    Coefficients are computed once. Raises CladError for a prediction type or step counts that it cannot sample.
    """

    def __init__(self, *, train_steps: int, sample_steps: int, prediction: str) -> None:
        if prediction not in PREDICTIONS:
            raise CladError(f"diffusion prediction '{prediction}' is none of {', '.join(PREDICTIONS)}", "Export again")
        if not 1 <= sample_steps <= train_steps:
            raise CladError(f"{sample_steps} sampling steps of {train_steps} training steps", "Use 1 up to train_steps")
        self.predicts_sample = prediction == "sample"
        ab, stride = alphas_bar(train_steps), train_steps // sample_steps
        self.timesteps = list(range((sample_steps - 1) * stride, -1, -stride))  # visited, from noise to sample
        self.steps = [self._coefficients(t, ab[t], ab[t - stride] if t >= stride else ONE) for t in self.timesteps]

    @property
    def draws(self) -> int:
        """How many arrays of noise a sample takes: the one it starts from, and any that are added on the way."""
        return 1

    def __call__(
        self, denoise: Callable[[np.ndarray, int], np.ndarray], noise: np.ndarray, near: np.ndarray | None = None
    ) -> np.ndarray:
        """From `noise` (draws, ...) float32 to a sample (...); `denoise(x, timestep)` is the trained network.

        near: (...) a sample that is close to the wanted one. The first half of the steps is then left out, and the
        others begin at `near` noised to their level: x_t = sqrt(alpha-bar_t) near + sqrt(1 - alpha-bar_t) noise[0].
        """
        if len(noise) != self.draws:
            raise ValueError(f"{len(noise)} arrays of noise where this sampler takes {self.draws}")
        x, skipped = noise[0], 0
        if near is not None:
            skipped = len(self.steps) // 2
            first = self.steps[skipped]
            x = first.signal * near + first.noise * x
        for step, fresh in zip_longest(self.steps[skipped:], noise[1 + skipped :]):
            x = self._back(step, x, denoise(x, step.timestep), fresh)
        return x

    @abstractmethod
    def _coefficients(self, timestep: int, now: np.float32, after: np.float32) -> Any:
        """What `_back` needs of one step. now, after: alpha-bar at `timestep` and at the next one, 1 at the end."""

    @abstractmethod
    def _back(self, step: Any, x: np.ndarray, prediction: np.ndarray, fresh: np.ndarray | None) -> np.ndarray:
        """x at the next time step. fresh: the noise drawn for this one, None where there is none left."""
