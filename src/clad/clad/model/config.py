"""Typed configuration of both stages: every variant of the paper is a field here, with the paper's value as a preset.

A configuration is a preset's name or a YAML file, changed by named variants (variants.py) and by `--set
section.key=value`. Unknown keys are refused with the nearest valid ones named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from clad.contract import PROPRIO_VARIANTS
from clad.errors import UsageError, unknown_name
from clad.model.variants import VARIANTS
from clad.runtime.diffusion import PREDICTIONS
from clad.runtime.samplers import SAMPLERS

PLANNERS = ("clad", "lbp")
ATTENTIONS = ("proprio_queries_semantic", "semantic_queries_proprio", "symmetric")
PRECISIONS = ("float32", "bfloat16")
FORESIGHTS = ("both", "proprio", "semantic", "none")
T = TypeVar("T")


def _positive(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise UsageError(f"{name} {getattr(config, name)} must be at least 1", f"See {type(config).__name__}")


def _fraction(config: object, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise UsageError(f"{name} {getattr(config, name)} must lie in [0, 1)", f"See {type(config).__name__}")


def _one_of(config: object, name: str, valid: tuple[str, ...]) -> None:
    if getattr(config, name) not in valid:
        raise unknown_name(name, getattr(config, name), valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dims:
    """What the data decide: lengths of p_t, v_t, l and of one action, and tau."""

    proprio: int
    visual: int
    text: int
    action: int
    horizon: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerConfig:
    """Latent dynamics (model/dynamics.py, equations 5-19) or the backward planner that it is compared with.

    kind: clad, or lbp for latent backward planning (model/backward.py).
    width: d. tokens: N_p and N_s. hidden: hidden units of the encoders, decoders and foresight heads.
    attention: eq. 9 and its two ablations. use_actions: False is the action-free ablation, every action token masked.
    mask_ratio: r, probability of masking an action token in training. action_free_until: the curriculum, the fraction
    of the training steps, from the first, in which every action token is masked. ema_momentum: m (eq. 14).
    recon_weight: lambda (eq. 19). dropout: in the semantic encoder.
    Of these lbp takes hidden, dropout and the tokens, and has one of its own: subgoals, how often the way from the
    present to the final goal is halved; the semantic_tokens nearest subgoals go to the policy.
    """

    kind: str = "clad"
    width: int = 256
    proprio_tokens: int = 4
    semantic_tokens: int = 4
    hidden: int = 512
    heads: int = 4
    attention: str = "proprio_queries_semantic"
    use_actions: bool = True
    mask_ratio: float = 0.3
    action_free_until: float = 0.0
    ema_momentum: float = 0.995
    recon_weight: float = 0.1
    dropout: float = 0.1
    subgoals: int = 5

    def __post_init__(self) -> None:
        _positive(self, "width", "proprio_tokens", "semantic_tokens", "hidden", "heads", "subgoals")
        _one_of(self, "kind", PLANNERS)
        _one_of(self, "attention", ATTENTIONS)
        _fraction(self, "mask_ratio", "action_free_until", "ema_momentum", "dropout")
        if self.action_free_until and not self.use_actions:
            raise UsageError(
                "planner.action_free_until needs planner.use_actions: a curriculum ends with actions", "Change one"
            )
        if self.kind == "lbp" and self.semantic_tokens > self.subgoals + 1:
            raise UsageError(
                f"planner.semantic_tokens {self.semantic_tokens} exceeds the {self.subgoals} subgoals and the final goal",
                "Raise planner.subgoals",
            )
        if self.width % self.heads:
            raise UsageError(
                f"planner.width {self.width} is not a multiple of planner.heads {self.heads}", "Change one"
            )
        if self.recon_weight < 0:
            raise UsageError(f"planner.recon_weight {self.recon_weight} is negative", "Use 0 to leave the loss out")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig:
    """Diffusion policy, equations 20-22.

    foresight: which foresights condition it; none is the policy-only variant. observation: width of o^p and o^s.
    width, blocks: of the MLP-ResNet denoiser, and the condition's width. time_features: of the step's embedding.
    prediction: what the denoiser predicts, the clean chunk or the noise. train_steps, sample_steps: of diffusion.
    sampler: how a chunk is made from noise at run time; ddpm draws more noise on the way, ddim does not.
    execute_steps: how many of a chunk's steps run before the next plan; divides tau.
    """

    foresight: str = "both"
    observation: int = 256
    width: int = 384
    blocks: int = 4
    dropout: float = 0.1
    time_features: int = 64
    prediction: str = "sample"
    sampler: str = "ddim"
    train_steps: int = 100
    sample_steps: int = 10
    execute_steps: int = 6

    def __post_init__(self) -> None:
        _positive(
            self, "observation", "width", "blocks", "time_features", "train_steps", "sample_steps", "execute_steps"
        )
        _one_of(self, "foresight", FORESIGHTS)
        _one_of(self, "prediction", PREDICTIONS)
        _one_of(self, "sampler", tuple(SAMPLERS))
        _fraction(self, "dropout")
        if self.time_features % 2:
            raise UsageError(f"policy.time_features {self.time_features} is odd", "Sines and cosines come in pairs")
        if self.sample_steps > self.train_steps:
            raise UsageError(
                f"policy.sample_steps {self.sample_steps} exceeds train_steps {self.train_steps}", "Lower it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What a model sees.

    horizon: tau, control steps, of actions and of prediction. cameras, features: v_t is their concatenation, cameras
    outside. validation: fraction of the demonstrations of each task that is held out (at least one).
    """

    horizon: int = 6
    proprio: str = "joint16_ee7"
    cameras: tuple[str, ...] = ("agentview", "wrist")
    features: tuple[str, ...] = ("keypoints",)
    validation: float = 0.08

    def __post_init__(self) -> None:
        _positive(self, "horizon")
        _one_of(self, "proprio", tuple(PROPRIO_VARIANTS))
        _fraction(self, "validation")
        if not self.cameras or not self.features:
            raise UsageError(
                "data.cameras and data.features must name at least one each", "E.g. --set data.features=keypoints"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimConfig:
    """One stage's optimisation.

    steps: optimiser steps. warmup: of them with a rising rate; then cosine down to 1 % of `rate`. clip: gradient norm.
    input_noise: std of Gaussian noise on standardised inputs in training. weights_ema: decay of the averaged weights
    that validation and export use (0: the trained weights themselves). precision: of matrix products in training.
    evaluate_every: steps between validations. patience: validations without improvement before stopping (0: never).
    """

    steps: int
    batch: int = 256
    rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: int = 200
    clip: float = 1.0
    input_noise: float = 0.1
    weights_ema: float = 0.0
    precision: str = "float32"
    evaluate_every: int = 250
    patience: int = 0

    def __post_init__(self) -> None:
        _positive(self, "steps", "batch", "evaluate_every")
        _fraction(self, "weights_ema")
        _one_of(self, "precision", PRECISIONS)
        if self.rate <= 0 or self.clip <= 0 or min(self.warmup, self.patience, self.input_noise, self.weight_decay) < 0:
            raise UsageError(
                "rate and clip must be positive; warmup, patience, input_noise, weight_decay not negative",
                "Correct the configuration",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that training needs beside the data."""

    data: DataConfig = field(default_factory=DataConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    # with tens of demonstrations the planner is at its best after a few hundred steps, so it is watched closely
    train_planner: OptimConfig = field(
        default_factory=lambda: OptimConfig(steps=2000, weights_ema=0.99, evaluate_every=100, patience=6)
    )
    train_policy: OptimConfig = field(
        default_factory=lambda: OptimConfig(steps=6000, weights_ema=0.999, evaluate_every=500)
    )

    def __post_init__(self) -> None:
        if self.data.horizon % self.policy.execute_steps:
            raise UsageError(
                f"policy.execute_steps {self.policy.execute_steps} does not divide data.horizon {self.data.horizon}",
                "Otherwise the observation tau steps ago would be one that was never made",
            )


PRESETS: dict[str, Config] = {
    # trains in minutes on two CPU cores and plans at 25 Hz on one
    "small": Config(),
    # d, N_p, N_s, proprio, steps and batch of the paper; layer counts and hidden widths are not published, these come to
    # its 0.33 B and 0.23 B parameters
    "paper": Config(
        data=DataConfig(proprio="joint16"),
        planner=PlannerConfig(width=1024, hidden=9216, heads=8),
        policy=PolicyConfig(observation=1024, width=2048, blocks=11, prediction="epsilon"),
        train_planner=OptimConfig(steps=25_000, batch=128, rate=1e-4, input_noise=0.0),
        train_policy=OptimConfig(
            steps=200_000, batch=128, rate=1e-4, input_noise=0.0, weights_ema=0.999, evaluate_every=2000
        ),
    ),
}


def load_config(name_or_path: str, changes: Sequence[str] = (), *, variants: Sequence[str] = ()) -> Config:
    """A preset by name or a YAML file by path, then named variants, then `section.key=value` changes, each in order.

    A YAML file may start from a preset: `preset: small`. Raises UsageError for anything unknown, naming valid ones.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise UsageError(f"configuration {path} does not exist", f"Or use a preset: {', '.join(PRESETS)}")
        body = yaml.safe_load(path.read_text()) or {}
        if not isinstance(body, dict):
            raise UsageError(f"configuration {path} is not a mapping", "Sections: " + ", ".join(asdict(Config())))
        config = merge(_preset(body.pop("preset", "small")), body)
    else:
        config = _preset(name_or_path)
    for name in variants:
        if name not in VARIANTS:
            raise unknown_name("variant", name, VARIANTS)
        config = merge(config, VARIANTS[name].changes)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise UsageError(f"'{change}' is not section.key=value", "E.g. --set policy.foresight=none")
        body: Any = yaml.safe_load(value)
        for part in reversed(key.split(".")):
            body = {part: body}
        config = merge(config, body)
    return config


def merge(base: T, changes: Mapping[str, Any], where: str = "") -> T:
    """`base` with nested `changes` applied and validated again. Raises UsageError for an unknown key or a wrong type."""
    known = {f.name: f for f in fields(base)}
    values = {}
    for key, value in changes.items():
        name = f"{where}{key}"
        if key not in known:
            raise unknown_name("configuration key", name, (f"{where}{k}" for k in known))
        present = getattr(base, key)
        if is_dataclass(present):
            if not isinstance(value, Mapping):
                raise UsageError(f"'{name}' is a section", f"Its keys: {', '.join(f.name for f in fields(present))}")
            values[key] = merge(present, value, f"{name}.")
        else:
            values[key] = _typed(name, value, present)
    return dataclasses.replace(base, **values)


def from_dict(cls: type[T], body: dict[str, Any]) -> T:
    """One section rebuilt from what `dataclasses.asdict` wrote into a sidecar."""
    known = {f.name for f in fields(cls)}
    for key in body:
        if key not in known:
            raise unknown_name("configuration key", key, known)
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in body.items()})


def _preset(name: str) -> Config:
    if name not in PRESETS:
        raise unknown_name("configuration", name, PRESETS)
    return PRESETS[name]


def _typed(name: str, value: Any, present: Any) -> Any:
    """`value` as the type of the `present` one; numbers may be written as YAML reads them (1e-3 is a string to it)."""
    wanted = type(present)
    if wanted is tuple:
        return tuple(str(v) for v in value) if isinstance(value, (list, tuple)) else tuple(str(value).split(","))
    if wanted is bool or isinstance(value, bool):
        if wanted is bool and isinstance(value, bool):
            return value
    elif wanted is str and isinstance(value, str):
        return value
    elif wanted in (int, float):
        try:
            number = float(value)
            if wanted is float or number == int(number):
                return wanted(number)
        except (TypeError, ValueError):
            pass
    raise UsageError(f"'{name}' takes {wanted.__name__}, not {value!r}", f"At present it is {present!r}")
