"""Running a bundle's networks on made-up inputs: for parity and for timing. The real loop is planner.py and policy.py."""

from __future__ import annotations

import numpy as np

from clad.runtime.diffusion import Sampler
from clad.runtime.session import Session


def seeded_feed(session: Session, *, batch: int, seed: int, train_steps: int) -> dict[str, np.ndarray]:
    """Non-zero inputs for a network, a function of its input names, shapes and the seed alone."""
    rng = np.random.default_rng(seed)
    return {
        i.name: rng.integers(1, train_steps, batch)
        if i.name == "timestep"
        else rng.standard_normal((batch, *i.shape[1:])).astype(np.float32)
        for i in session.get_inputs()
    }


def sample(denoiser: Session, sampler: Sampler, *, condition: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """A batch of chunks in [-1, 1], one run of the denoiser a step: (B, W), (draws, B, tau, N) -> (B, tau, N)."""

    def denoise(x: np.ndarray, timestep: int) -> np.ndarray:
        timesteps = np.full(len(x), timestep, dtype=np.int64)
        return denoiser.run(["prediction"], {"condition": condition, "noisy": x, "timestep": timesteps})[0]

    return sampler(denoise, noise)
