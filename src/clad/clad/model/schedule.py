"""The forward process of diffusion in torch; the reverse one is runtime/diffusion.py's, shared with inference."""

from __future__ import annotations

import torch
from torch import nn

from clad.runtime.diffusion import alphas_bar


class NoiseSchedule(nn.Module):
    """q(x_k | x_0) of the cosine schedule `squaredcos_cap_v2` with `train_steps` steps."""

    def __init__(self, train_steps: int) -> None:
        super().__init__()
        self.train_steps = train_steps
        self.register_buffer("alphas_bar", torch.from_numpy(alphas_bar(train_steps)), persistent=False)

    def add_noise(self, clean: torch.Tensor, noise: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """sqrt(alpha-bar_k) x_0 + sqrt(1 - alpha-bar_k) eps. clean, noise: (B, ...); step: (B,) int64."""
        alpha_bar = self.alphas_bar[step].view(-1, *[1] * (clean.dim() - 1))
        return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise
