"""How large a configuration is, counted without building any weight, and models of that size with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from clad.contract import RobotContract, load_contract, proprio_dim
from clad.data.features import CacheInfo
from clad.data.statistics import Normalisers
from clad.encoders.encoder import Encoder
from clad.errors import unknown_name
from clad.export.bundle import write_bundle
from clad.model.config import PRESETS, Config, Dims, load_config
from clad.model.dynamics import LatentDynamics
from clad.model.planner import AnyPlanner, build_planner
from clad.model.policy import DiffusionPolicy
from clad.runtime.bundle import ModelBundle
from clad.runtime.normalisers import ActionScaler, Standardiser
from clad.train.run import RunInfo

# lengths of a camera's features and of an instruction's embedding, by the encoder that a preset is meant for:
# keypoints of the offline one, DecisionNCE's embeddings
ENCODER_DIMS = {"small": (304, 384), "paper": (1024, 1024)}
# as the paper states them: parameters
PAPER_PARAMETERS = {"planner": 0.33e9, "policy": 0.23e9}
# bytes a parameter in training: weight, gradient and AdamW's two moments, all float32
TRAINING_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Parameters of both stages. target: the EMA encoders, which only training holds (eq. 14)."""

    planner: int
    policy: int
    target: int

    @property
    def total(self) -> int:
        """What a deployed model has, without its encoder."""
        return self.planner + self.policy

    def memory(self) -> dict[str, int]:
        """Bytes: of the weights in each precision, and of each stage's training without its activations."""
        return {
            "fp32": 4 * self.total,
            "fp16": 2 * self.total,
            "int8": self.total,
            "train planner": TRAINING_BYTES * self.planner + 4 * self.target,
            "train policy": TRAINING_BYTES * self.policy + 4 * self.planner,
        }


def preset(name: str, changes: Sequence[str] = (), variants: Sequence[str] = ()) -> tuple[Config, Dims]:
    """A preset, changed as by `load_config`, and the dimensions it has with its encoder and LIBERO's robot.

    Raises UsageError for no preset and for anything else unknown.
    """
    if name not in PRESETS:
        raise unknown_name("configuration", name, PRESETS)
    config = load_config(name, changes, variants=variants)
    features, text = ENCODER_DIMS[name]
    dims = Dims(
        proprio=proprio_dim(config.data.proprio),
        visual=features * len(config.data.cameras),
        text=text,
        action=len(load_contract("libero").action.names),
        horizon=config.data.horizon,
    )
    return config, dims


def count(config: Config, dims: Dims) -> Sizes:
    """Parameters of a configuration's models, on torch's meta device: no memory is taken for them."""
    with torch.device("meta"):
        planner, policy = _build(config, dims)
    target = planner.encoders if isinstance(planner, LatentDynamics) else None
    return Sizes(planner=_count(planner), policy=_count(policy), target=_count(target))


def random_bundle(
    config: Config,
    dims: Dims,
    name: str,
    out: Path,
    *,
    seed: int = 0,
    torch_weights: bool = False,
    contract: RobotContract | None = None,
    encoder: Encoder | None = None,
) -> ModelBundle:
    """A bundle `out/name` with random weights: as quick as a trained one, and good for nothing else.

    contract: default LIBERO's. encoder: without one the bundle can be timed, but moves no robot.
    Weights that training starts at zero are random too: otherwise parity would be measured on outputs that are nothing.
    """
    torch.manual_seed(seed)
    planner, policy = _build(config, dims)
    for module in (m for m in (planner, policy) if m is not None):
        module.eval()
        with torch.no_grad():
            for parameter in (p for p in module.parameters() if not p.any()):
                parameter.normal_(std=0.02)
    contract = contract or load_contract("libero")
    info = RunInfo(
        stage="policy",
        config=config,
        dims=dims,
        cache=CacheInfo(
            encoder_name=encoder.name if encoder else "none",
            encoder_sha256=encoder.id if encoder else "0" * 64,
            feature_dims=dict(encoder.feature_dims) if encoder else {},
            text_dim=dims.text,
            contract_name=contract.name,
            contract_hash=contract.hash,
        ),
        features="",
        normalisers=Normalisers(
            proprio=_identity(dims.proprio),
            visual=_identity(dims.visual),
            action=ActionScaler(low=-np.ones(dims.action), high=np.ones(dims.action)),
        ),
        validation=(),
        demonstrations=0,
        tasks=({"suite": "none", "task": 0, "instruction": "random weights, no task"},),
        visuals=("none",),
        blind=False,
        seed=seed,
    )
    training = {"planner": {}, "policy": {}, "demonstrations": 0, "visuals": ["none"]}
    return write_bundle(info, planner, policy, name, out, training=training, torch_weights=torch_weights)


def _build(config: Config, dims: Dims) -> tuple[AnyPlanner | None, DiffusionPolicy]:
    planner = None if config.policy.foresight == "none" else build_planner(dims, config.planner)
    return planner, DiffusionPolicy(dims, config.planner, config.policy)


def _identity(size: int) -> Standardiser:
    return Standardiser(mean=np.zeros(size, np.float32), std=np.ones(size, np.float32), clip=5.0)


def _count(module: torch.nn.Module | None) -> int:
    return sum(p.numel() for p in module.parameters()) if module is not None else 0
