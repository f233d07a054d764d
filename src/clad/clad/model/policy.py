"""Stage 2, the diffusion policy on frozen foresights: equations 20-22 of the paper."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clad.model.config import Dims, PlannerConfig, PolicyConfig
from clad.model.denoisers import build_denoiser
from clad.model.dynamics import Foreseen, Observed
from clad.model.layers import Film, mlp
from clad.model.planner import foresight_width


class Modulation(nn.Module):
    """g = gamma(o) * z-hat + beta(o) (eq. 21): the observation scales and shifts the foresight.

    Eq. 17 trains only the direction of a foresight, so its tokens are first brought to a common scale.
    """

    def __init__(self, observation: int, tokens: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.gamma = nn.Linear(observation, tokens * width)
        self.beta = nn.Linear(observation, tokens * width)
        nn.init.zeros_(self.gamma.weight)
        nn.init.ones_(self.gamma.bias)

    def forward(self, observation: torch.Tensor, foresight: torch.Tensor) -> torch.Tensor:
        """(B, D_o), (B, N, d) -> (B, N d)."""
        scaled = F.layer_norm(foresight, (self.width,)).flatten(1)
        return self.gamma(observation) * scaled + self.beta(observation)


class Condition(nn.Module):
    """Everything that the denoiser is told, once per chunk: (B, W).

    With both foresights, [g^p ; g^s]; with one, that one alone; without any (policy only), [o^p ; o^s].
    """

    def __init__(self, dims: Dims, planner: PlannerConfig, config: PolicyConfig) -> None:
        super().__init__()
        self.uses_proprio = config.foresight in ("both", "proprio")
        self.uses_semantic = config.foresight in ("both", "semantic")
        self.alone = config.foresight == "none"
        width = foresight_width(dims, planner)
        size = 0
        if self.uses_proprio or self.alone:
            self.proprio = mlp(dims.proprio, config.observation, config.observation, config.dropout)
            size += config.observation if self.alone else planner.proprio_tokens * width
        if self.uses_semantic or self.alone:
            self.film = Film(dims.text, dims.visual)
            self.input_dropout = nn.Dropout(config.dropout)
            self.semantic = mlp(dims.visual, config.observation, config.observation, config.dropout)
            size += config.observation if self.alone else planner.semantic_tokens * width
        if self.uses_proprio:
            self.modulate_proprio = Modulation(config.observation, planner.proprio_tokens, width)
        if self.uses_semantic:
            self.modulate_semantic = Modulation(config.observation, planner.semantic_tokens, width)
        self.project = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, config.width))

    def forward(self, seen: Observed, text: torch.Tensor, foreseen: Foreseen | None) -> torch.Tensor:
        """seen: p_t, v_t standardised; text (B, D_l); foreseen: None for the policy-only variant."""
        parts = []
        if self.uses_proprio or self.alone:
            o_proprio = self.proprio(seen.proprio)  # eq. 20
            parts.append(o_proprio if self.alone else self.modulate_proprio(o_proprio, foreseen.proprio))
        if self.uses_semantic or self.alone:
            o_semantic = self.semantic(self.input_dropout(self.film(seen.visual, text)))  # eq. 20
            parts.append(o_semantic if self.alone else self.modulate_semantic(o_semantic, foreseen.semantic))
        return self.project(torch.cat(parts, dim=1))


class DiffusionPolicy(nn.Module):
    """Condition and denoiser, trained together."""

    def __init__(self, dims: Dims, planner: PlannerConfig, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        self.condition = Condition(dims, planner, config)
        self.denoiser = build_denoiser(dims, config)
