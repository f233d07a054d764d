"""A latent backward planner, the baseline after LBP (Liu et al., ICML 2025), behind the interface of LatentDynamics.

It plans in the space of the frozen visual embedding: the instruction and the present picture ground the task in a
final goal, and one network, applied to its own output, halves the way from there back to the present. Where CLaD
foresees t+tau from what has just changed, this planner sees neither the past nor the actions nor proprioception.

Only the idea is LBP's. What a description of it leaves open is our choice: goals are predicted as displacements from
the present, the recursion is trained on its own output (as it runs), the loss is the squared error of standardised
embeddings, and the policy gets the nearest goals through the semantic foresight, token by token.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from clad.model.config import Dims, PlannerConfig
from clad.model.dynamics import Foreseen, Observed
from clad.model.layers import Film, mlp


class BackwardLoss(NamedTuple):
    """Scalars. total: the mean over goals of `final`, the error of the final goal, and those of the subgoals;
    `nearest` is the last subgoal's."""

    total: torch.Tensor
    final: torch.Tensor
    nearest: torch.Tensor


class BackwardPlanner(nn.Module):
    """From the present and the instruction to a final goal and `subgoals` subgoals, each half as far away as the last."""

    def __init__(self, dims: Dims, config: PlannerConfig) -> None:
        super().__init__()
        self.config = config
        self.film = Film(dims.text, dims.visual)
        self.final = mlp(dims.visual, config.hidden, dims.visual, config.dropout)
        self.halve = mlp(2 * dims.visual, config.hidden, dims.visual, config.dropout)

    def goals(self, now: Observed, text: torch.Tensor) -> torch.Tensor:
        """(B, 1 + subgoals, D_v), standardised: the final goal first, the nearest subgoal last. text: (B, D_l)."""
        told = self.film(now.visual, text)
        way = self.final(told)
        ways = [way]
        for _ in range(self.config.subgoals):
            way = self.halve(torch.cat([told, way], dim=1))
            ways.append(way)
        return now.visual[:, None] + torch.stack(ways, dim=1)

    def forward(self, past: Observed, now: Observed, text: torch.Tensor, actions: torch.Tensor) -> Foreseen:
        """The nearest goals as semantic foresight (B, N_s, D_v); the proprio foresight (B, N_p, D_v) is zero.

        past and actions are not looked at; they are there so that either planner can stand in the other's place.
        """
        nearest = self.goals(now, text)[:, -self.config.semantic_tokens :]
        return Foreseen(torch.zeros_like(nearest[:, :1]).expand(-1, self.config.proprio_tokens, -1), nearest)

    def predict_proprio(self, foreseen: Foreseen, now: Observed) -> torch.Tensor:
        """Standardised proprio (B, D_p): the present one, for this planner says nothing about the robot's own future."""
        return now.proprio


def backward_loss(goals: torch.Tensor, targets: torch.Tensor) -> BackwardLoss:
    """Squared errors of predicted goals; both (B, 1 + subgoals, D_v)."""
    errors = F.mse_loss(goals, targets, reduction="none").mean(dim=(0, 2))
    return BackwardLoss(errors.mean(), errors[0], errors[-1])


def goal_rows(now: torch.Tensor, last: torch.Tensor, subgoals: int) -> torch.Tensor:
    """Rows (B, 1 + subgoals) of the frames that are the goals at rows `now` (B,) of episodes that end at `last` (B,).

    The first is the end, each next one half as far from the present, rounded away from it: never the present itself
    before the end of the episode.
    """
    way = last - now
    ways = [way]
    for _ in range(subgoals):
        way = (way + 1) // 2
        ways.append(way)
    return now[:, None] + torch.stack(ways, dim=1)
