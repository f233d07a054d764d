"""A conditional 1-D U-Net over the chunk's time steps (Chi et al., 2023), conditioned by FiLM."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clad.model.config import Dims, PolicyConfig
from clad.model.denoisers.step_features import StepFeatures

GROUPS = 4
KERNEL = 3


class FilmBlock(nn.Module):
    """Two convolutions over time with the condition's scale and shift between them, and a residual.

    forward: x (B, C, T), told (B, W) -> (B, C', T).
    """

    def __init__(self, channels: int, out: int, told: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels, out, KERNEL, padding=KERNEL // 2)
        self.second = nn.Conv1d(out, out, KERNEL, padding=KERNEL // 2)
        self.norm_first, self.norm_second = nn.GroupNorm(GROUPS, out), nn.GroupNorm(GROUPS, out)
        self.film = nn.Linear(told, 2 * out)
        self.dropout = nn.Dropout(dropout)
        self.residual = nn.Identity() if channels == out else nn.Conv1d(channels, out, 1)

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        scale, shift = self.film(F.silu(told))[..., None].chunk(2, dim=1)
        y = (1 + scale) * F.silu(self.norm_first(self.first(x))) + shift
        return self.residual(x) + F.silu(self.norm_second(self.second(self.dropout(y))))


class Stage(nn.Module):
    """`blocks` FiLM blocks; the first one changes the number of channels."""

    def __init__(self, channels: int, out: int, told: int, config: PolicyConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            FilmBlock(channels if number == 0 else out, out, told, config.dropout) for number in range(config.blocks)
        )

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x, told)
        return x


class Unet1d(nn.Module):
    """Down at full time resolution with `config.width / 4` channels, once through half of it with twice as many, and up.

    A chunk of 6 steps has room for one halving: 6, 3, 6. An odd horizon is extended by its last step for the way.
    """

    def __init__(self, dims: Dims, config: PolicyConfig) -> None:
        super().__init__()
        channels, told = config.width // 4, config.width
        self.horizon = dims.horizon
        self.step = StepFeatures(config.time_features, config.train_steps)
        self.told = nn.Sequential(
            nn.Linear(config.width + config.time_features, told), nn.SiLU(), nn.Linear(told, told)
        )
        self.down = Stage(dims.action, channels, told, config)
        self.downsample = nn.Conv1d(channels, channels, KERNEL, stride=2, padding=1)
        self.middle = Stage(channels, 2 * channels, told, config)
        self.upsample = nn.ConvTranspose1d(2 * channels, channels, 4, stride=2, padding=1)
        self.up = Stage(2 * channels, channels, told, config)
        self.outputs = nn.Conv1d(channels, dims.action, 1)

    def forward(self, condition: torch.Tensor, noisy: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        told = self.told(torch.cat([condition, self.step(timestep)], dim=1))
        x = noisy.transpose(1, 2)
        if self.horizon % 2:
            x = torch.cat([x, x[..., -1:]], dim=2)
        fine = self.down(x, told)
        coarse = self.middle(self.downsample(fine), told)
        x = self.up(torch.cat([fine, self.upsample(coarse)], dim=1), told)
        return self.outputs(x)[..., : self.horizon].transpose(1, 2)
