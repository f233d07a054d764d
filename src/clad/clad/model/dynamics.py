"""Stage 1, cross-modal latent dynamics: equations 5-16 of the paper."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import nn

from clad.model.config import Dims, PlannerConfig
from clad.model.layers import CrossAttention, Film, mlp


class Observed(NamedTuple):
    """One instant as the model takes it, standardised: proprio p (B, D_p), visual v (B, D_v)."""

    proprio: torch.Tensor
    visual: torch.Tensor


class Foreseen(NamedTuple):
    """Grounded latent foresights at t+tau: proprio (B, N_p, d) eq. 12, semantic (B, N_s, d) eq. 13."""

    proprio: torch.Tensor
    semantic: torch.Tensor


class Encoders(nn.Module):
    """E_p and E_s with its FiLM: what the EMA target copies (eqs 5, 6)."""

    def __init__(self, dims: Dims, config: PlannerConfig) -> None:
        super().__init__()
        self.width = config.width
        self.film = Film(dims.text, dims.visual)
        self.proprio = mlp(dims.proprio, config.hidden, config.proprio_tokens * config.width)
        self.semantic = mlp(dims.visual, config.hidden, config.semantic_tokens * config.width, config.dropout)

    def forward(self, seen: Observed, text: torch.Tensor) -> Foreseen:
        """z^p (B, N_p, d) and z^s (B, N_s, d) of one instant; text (B, D_l)."""
        return Foreseen(
            self.proprio(seen.proprio).unflatten(-1, (-1, self.width)),
            self.semantic(self.film(seen.visual, text)).unflatten(-1, (-1, self.width)),
        )


class Transition(nn.Module):
    """u_t: what changed from t-tau to t under the executed actions, in each modality and across both (eqs 7-9)."""

    def __init__(self, config: PlannerConfig) -> None:
        super().__init__()
        self.attention = config.attention
        self.proprio = CrossAttention(config.width, config.heads)
        self.semantic = CrossAttention(config.width, config.heads)
        self.cross = CrossAttention(config.width, config.heads)

    def forward(self, past: Foreseen, now: Foreseen, actions: torch.Tensor) -> torch.Tensor:
        """past, now: tokens of both modalities; actions: (B, tau, d) action tokens -> u_t (B, N, d)."""
        u_proprio = self.proprio(now.proprio, torch.cat([past.proprio, actions], dim=1))
        u_semantic = self.semantic(now.semantic, torch.cat([past.semantic, actions], dim=1))
        if self.attention == "proprio_queries_semantic":
            return self.cross(u_proprio, u_semantic)
        if self.attention == "semantic_queries_proprio":
            return self.cross(u_semantic, u_proprio)
        both = torch.cat([u_proprio, u_semantic], dim=1)
        return self.cross(both, both)


class LatentDynamics(nn.Module):
    """The planner: from the present, the past and the actions between them to grounded latent foresights.

    Inputs are standardised; actions are scaled to [-1, 1]. `encoders` are trained, `decode_*` read foresights back.
    """

    def __init__(self, dims: Dims, config: PlannerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoders = Encoders(dims, config)
        self.action_token = nn.Linear(dims.action, config.width)
        self.action_position = nn.Parameter(torch.randn(dims.horizon, config.width) * 0.02)
        self.mask_token = nn.Parameter(torch.randn(config.width) * 0.02)
        self.transition = Transition(config)
        self.latent_query = nn.Parameter(torch.randn(1, 1, config.width) * 0.02)
        self.pool = CrossAttention(config.width, config.heads)
        n_proprio, n_semantic = config.proprio_tokens * config.width, config.semantic_tokens * config.width
        self.foresee_proprio = mlp(config.width, config.hidden, n_proprio)
        self.foresee_semantic = mlp(config.width, config.hidden, n_semantic)
        self.decode_proprio_head = mlp(n_proprio, config.hidden, dims.proprio)
        self.decode_visual_head = mlp(n_semantic, config.hidden, dims.visual)

    def action_tokens(self, actions: torch.Tensor, mask_ratio: float = 0.0) -> torch.Tensor:
        """Encoded actions (B, tau, d) of a_{t-tau:t} (B, tau, N), each masked with probability `mask_ratio`."""
        tokens = self.action_token(actions)
        if not self.config.use_actions:
            tokens = tokens * 0.0 + self.mask_token
        elif mask_ratio > 0:
            masked = torch.rand(tokens.shape[:2], device=tokens.device) < mask_ratio
            tokens = torch.where(masked[..., None], self.mask_token, tokens)
        return tokens + self.action_position

    def cross_modal(
        self, past: Observed, now: Observed, text: torch.Tensor, actions: torch.Tensor, mask_ratio: float = 0.0
    ) -> torch.Tensor:
        """z_dyn (B, d), the cross-modal dynamics that both foresights are decoded from (eqs 7-10); as `forward`."""
        z_past, z_now = self.encoders(past, text), self.encoders(now, text)
        u = self.transition(z_past, z_now, self.action_tokens(actions, mask_ratio))
        return self.pool(self.latent_query.expand(u.shape[0], -1, -1), u)[:, 0]

    def forward(
        self, past: Observed, now: Observed, text: torch.Tensor, actions: torch.Tensor, mask_ratio: float = 0.0
    ) -> Foreseen:
        """Foresights at t+tau from t-tau (`past`) and t (`now`), the instruction (B, D_l) and a_{t-tau:t} (B, tau, N).

        mask_ratio: r of eqs 7 and 8, for training; at run time nothing is masked.
        """
        z_dyn = self.cross_modal(past, now, text, actions, mask_ratio)
        width = self.config.width
        return Foreseen(
            self.foresee_proprio(z_dyn).unflatten(-1, (-1, width)),
            self.foresee_semantic(z_dyn).unflatten(-1, (-1, width)),
        )

    def predict_proprio(self, foreseen: Foreseen, now: Observed) -> torch.Tensor:
        """Standardised proprio (B, D_p) at t+tau as the planner sees it; `now` is what a planner without a view gives."""
        return self.decode_proprio(foreseen.proprio)

    def decode_proprio(self, tokens: torch.Tensor) -> torch.Tensor:
        """h_p: (B, N_p, d) -> standardised proprio (B, D_p) at t+tau."""
        return self.decode_proprio_head(tokens.flatten(1))

    def decode_visual(self, tokens: torch.Tensor) -> torch.Tensor:
        """h_s: (B, N_s, d) -> standardised visual embedding (B, D_v) at t+tau."""
        return self.decode_visual_head(tokens.flatten(1))


class TargetEncoders(nn.Module):
    """The EMA copy of the encoders, which says what the future looks like (eqs 14-16). Never trained, no dropout."""

    def __init__(self, online: Encoders) -> None:
        super().__init__()
        self.encoders = copy.deepcopy(online).requires_grad_(False)
        self.eval()  # the copy is as the original: in training mode, where its dropout would blur the targets

    def train(self, mode: bool = True) -> TargetEncoders:
        """Targets are always computed in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, seen: Observed, text: torch.Tensor) -> Foreseen:
        """z-bar^p, z-bar^s, without gradient."""
        return self.encoders(seen, text)

    @torch.no_grad()
    def update(self, online: Encoders, momentum: float) -> None:
        """theta-bar <- m theta-bar + (1 - m) theta (eq. 14)."""
        torch._foreach_lerp_(list(self.encoders.parameters()), list(online.parameters()), 1 - momentum)
