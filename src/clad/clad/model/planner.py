"""Which planner a configuration means, and the shape of what it hands to the policy."""

from __future__ import annotations

from clad.model.backward import BackwardPlanner
from clad.model.config import Dims, PlannerConfig
from clad.model.dynamics import LatentDynamics

AnyPlanner = LatentDynamics | BackwardPlanner


def build_planner(dims: Dims, config: PlannerConfig) -> AnyPlanner:
    """The planner of `config.kind`, freshly initialised."""
    return LatentDynamics(dims, config) if config.kind == "clad" else BackwardPlanner(dims, config)


def foresight_width(dims: Dims, config: PlannerConfig) -> int:
    """Length of one foresight token: d, or D_v for subgoals, which are embeddings themselves."""
    return config.width if config.kind == "clad" else dims.visual
