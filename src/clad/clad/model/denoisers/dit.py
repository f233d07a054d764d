"""A diffusion transformer (Peebles and Xie, 2023): one token a time step of the chunk, conditioned by adaLN-Zero."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clad.model.config import Dims, PolicyConfig
from clad.model.denoisers.step_features import StepFeatures


class DitBlock(nn.Module):
    """Self-attention and MLP, each with scale, shift and gate from the condition. The gates start at 0: the identity.

    forward: x (B, tau, d), told (B, d) -> (B, tau, d).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.modulation = nn.Linear(width, 6 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        scale_a, shift_a, gate_a, scale_m, shift_m, gate_m = self.modulation(F.silu(told))[:, None].chunk(6, dim=-1)
        x = x + gate_a * self._attend(adaptive_norm(x, scale_a, shift_a))
        return x + gate_m * self.down(self.dropout(F.gelu(self.up(adaptive_norm(x, scale_m, shift_m)))))

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Dit(nn.Module):
    """`blocks` blocks of width `config.width / 2`, with learned positions; starts by predicting zero."""

    def __init__(self, dims: Dims, config: PolicyConfig) -> None:
        super().__init__()
        width = config.width // 2
        self.step = StepFeatures(config.time_features, config.train_steps)
        self.told = nn.Sequential(
            nn.Linear(config.width + config.time_features, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.inputs = nn.Linear(dims.action, width)
        self.position = nn.Parameter(torch.randn(dims.horizon, width) * 0.02)
        self.blocks = nn.ModuleList(DitBlock(width, config.heads, config.dropout) for _ in range(config.blocks))
        self.modulation = nn.Linear(width, 2 * width)
        self.outputs = nn.Linear(width, dims.action)
        for layer in (self.modulation, self.outputs):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, condition: torch.Tensor, noisy: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        told = self.told(torch.cat([condition, self.step(timestep)], dim=1))
        x = self.inputs(noisy) + self.position
        for block in self.blocks:
            x = block(x, told)
        scale, shift = self.modulation(F.silu(told))[:, None].chunk(2, dim=-1)
        return self.outputs(adaptive_norm(x, scale, shift))


def adaptive_norm(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """(1 + scale) * LayerNorm(x) + shift, the norm without weights of its own."""
    return (1 + scale) * F.layer_norm(x, x.shape[-1:]) + shift
