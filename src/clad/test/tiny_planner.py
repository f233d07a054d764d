"""A small random planner as pictures study it, for the features of `tiny_demos.encoded`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from clad.data.statistics import Normalisers
from clad.figures.planners import StudiedPlanner
from clad.model.config import Dims, PlannerConfig
from clad.model.dynamics import LatentDynamics
from clad.runtime.normalisers import ActionScaler, Standardiser

TAU, VISUAL, TEXT, PROPRIO = 6, 10, 4, 16


def random_planner(path: Path) -> StudiedPlanner:
    """Every input has an effect; demonstrations 0 and 1 are held out."""
    torch.manual_seed(0)
    config = PlannerConfig(width=16, hidden=32, heads=2, proprio_tokens=2, semantic_tokens=2)
    dims = Dims(proprio=PROPRIO, visual=VISUAL, text=TEXT, action=7, horizon=TAU)
    rng = np.random.default_rng(0)

    def standardiser(size: int) -> Standardiser:
        mean, std = rng.normal(size=size).astype(np.float32), rng.uniform(1, 2, size).astype(np.float32)
        return Standardiser(mean=mean, std=std, clip=3.0)

    actions = ActionScaler(low=-np.ones(7), high=np.ones(7))
    return StudiedPlanner(
        name="random",
        path=path,
        model=LatentDynamics(dims, config).eval().requires_grad_(False),
        config=config,
        horizon=TAU,
        proprio_variant="joint16",
        cameras=("agentview", "wrist"),
        features=("keypoints", "pooled"),
        normalisers=Normalisers(proprio=standardiser(PROPRIO), visual=standardiser(VISUAL), action=actions),
        encoder_name="tiny",
        encoder_sha256="e",
        contract_name="libero",
        blind=False,
        held_out=("f/demo_0", "f/demo_1"),
    )
