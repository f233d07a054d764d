"""The default denoiser: an MLP-ResNet over condition, diffusion step and the flat noisy chunk."""

from __future__ import annotations

import torch
from torch import nn

from clad.model.config import Dims, PolicyConfig
from clad.model.denoisers.step_features import StepFeatures
from clad.model.layers import ResidualMlp


class MlpResnet(nn.Module):
    """Everything in one vector, through `blocks` residual blocks. Sees a chunk as a whole, without its order in time."""

    def __init__(self, dims: Dims, config: PolicyConfig) -> None:
        super().__init__()
        self.horizon = dims.horizon
        flat = dims.horizon * dims.action
        self.step = StepFeatures(config.time_features, config.train_steps)
        self.inputs = nn.Linear(config.width + config.time_features + flat, config.width)
        self.blocks = nn.Sequential(*[ResidualMlp(config.width, config.dropout) for _ in range(config.blocks)])
        self.outputs = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, flat))

    def forward(self, condition: torch.Tensor, noisy: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        x = self.inputs(torch.cat([condition, self.step(timestep), noisy.flatten(1)], dim=1))
        return self.outputs(self.blocks(x)).unflatten(-1, (self.horizon, -1))
