"""The sections of a configuration as validated dataclasses: every variant of the paper is a field of one of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from clad.contract import PROPRIO_VARIANTS
from clad.errors import UsageError, unknown_name
from clad.runtime.diffusion import PREDICTIONS
from clad.runtime.samplers import SAMPLERS

PLANNERS = ("clad", "lbp")
ATTENTIONS = ("proprio_queries_semantic", "semantic_queries_proprio", "symmetric")
PRECISIONS = ("float32", "bfloat16")
FORESIGHTS = ("both", "proprio", "semantic", "none")
DENOISERS = ("mlp_resnet", "dit", "unet1d")


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

    @property
    def reads_scene(self) -> bool:
        """Whether there is an h_s and it was trained (eq. 18): only then can the scene be read back from a foresight."""
        return self.kind == "clad" and self.recon_weight > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig:
    """Diffusion policy, equations 20-22.

    foresight: which foresights condition it; none is the policy-only variant. observation: width of o^p and o^s.
    denoiser: epsilon_phi, one of model/denoisers. width: the condition's, which also sets the denoiser's own (its width,
    half of it for dit, a quarter for unet1d's first level), so that at equal width and blocks all three are about as
    large. blocks: residual blocks; of unet1d at each of its three stages. heads: of dit's attention. time_features: of
    the diffusion step's embedding.
    prediction: what the denoiser predicts, the clean chunk or the noise. train_steps, sample_steps: of diffusion.
    sampler: how a chunk is made from noise at run time; ddpm draws more noise on the way, ddim does not.
    execute_steps: how many of a chunk's steps run before the next plan; divides tau.
    """

    foresight: str = "both"
    observation: int = 256
    denoiser: str = "mlp_resnet"
    width: int = 384
    blocks: int = 4
    heads: int = 4
    dropout: float = 0.1
    time_features: int = 64
    prediction: str = "sample"
    sampler: str = "ddim"
    train_steps: int = 100
    sample_steps: int = 10
    execute_steps: int = 6

    def __post_init__(self) -> None:
        _positive(
            self,
            *("observation", "width", "blocks", "heads", "time_features"),
            *("train_steps", "sample_steps", "execute_steps"),
        )
        _one_of(self, "foresight", FORESIGHTS)
        _one_of(self, "denoiser", DENOISERS)
        _one_of(self, "prediction", PREDICTIONS)
        _one_of(self, "sampler", tuple(SAMPLERS))
        _fraction(self, "dropout")
        if self.time_features % 2:
            raise UsageError(f"policy.time_features {self.time_features} is odd", "Sines and cosines come in pairs")
        if self.denoiser == "dit" and self.width % (2 * self.heads):
            raise UsageError(
                f"policy.width {self.width} is not a multiple of twice policy.heads {self.heads}, as dit needs it",
                "Change one",
            )
        if self.denoiser == "unet1d" and self.width % 16:
            raise UsageError(f"policy.width {self.width} is not a multiple of 16, as unet1d needs it", "Change it")
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
