"""What every denoiser is told of the diffusion step."""

from __future__ import annotations

import math

import torch
from torch import nn


class StepFeatures(nn.Module):
    """Sines and cosines of the diffusion step at `count / 2` frequencies: (B,) int64 -> (B, count)."""

    def __init__(self, count: int, train_steps: int) -> None:
        super().__init__()
        self.train_steps = train_steps
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(1000), count // 2)), persistent=False)

    def forward(self, timestep: torch.Tensor) -> torch.Tensor:
        phase = (timestep.float() / self.train_steps)[:, None] * self.frequencies
        return torch.cat([phase.sin(), phase.cos()], dim=1)
