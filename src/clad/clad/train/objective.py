"""What stage 1 minimises and how it judges itself: one objective for each kind of planner, behind one interface."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from clad.errors import CladError
from clad.model.backward import BackwardLoss, BackwardPlanner, backward_loss
from clad.model.config import Config, PlannerConfig
from clad.model.dynamics import LatentDynamics, Observed, TargetEncoders
from clad.model.losses import DynamicsLoss, dynamics_loss, embedding_spread, persistence_loss
from clad.model.planner import AnyPlanner
from clad.train.batches import Batch, WindowTensors

VALIDATION_BATCH = 2048
COLLAPSED = 0.02  # embedding spread below which the targets hold no information


class Objective(Protocol):
    """modules: what the objective trains or averages beside the planner, by name; part of a resumable state."""

    modules: dict[str, nn.Module]

    def loss(
        self, model: AnyPlanner, windows: WindowTensors, batch: Batch, past: Observed, now: Observed, step: int
    ) -> DynamicsLoss | BackwardLoss:
        """Losses of a batch of `windows` with the noisy inputs `past` and `now`; `step` counts from 0."""

    def after_step(self, model: AnyPlanner) -> None:
        """Follow the planner's new weights."""

    def keeps(self, step: int) -> bool:
        """Whether weights after `step` steps are worth keeping."""

    def evaluate(self, model: AnyPlanner, windows: WindowTensors, step: int) -> dict[str, float]:
        """Losses on clean windows, means over all of them. skill: the total relative to forecasting no change."""

    def check(self, metrics: dict[str, float], *, blind: bool) -> None:
        """Raise CladError when the metrics say that training has failed."""


def make_objective(model: AnyPlanner, config: Config) -> Objective:
    """The objective of a planner that was built from `config.planner`."""
    return DynamicsObjective(model, config) if config.planner.kind == "clad" else BackwardObjective()


def mask_ratio_at(config: PlannerConfig, step: int, steps: int) -> float:
    """The probability of masking an action token in training step `step` of `steps`: the curriculum begins with 1."""
    return 1.0 if step < config.action_free_until * steps else config.mask_ratio


class DynamicsObjective:
    """CLaD's: equation 19 against EMA targets."""

    def __init__(self, model: LatentDynamics, config: Config) -> None:
        self._target = TargetEncoders(model.encoders)
        self._config, self._steps = config.planner, config.train_planner.steps
        self.modules: dict[str, nn.Module] = {"target": self._target}

    def loss(
        self, model: LatentDynamics, windows: WindowTensors, batch: Batch, past: Observed, now: Observed, step: int
    ) -> DynamicsLoss:
        ratio = mask_ratio_at(self._config, step, self._steps)
        foreseen = model(past, now, batch.text, batch.actions, ratio)
        return dynamics_loss(model, foreseen, self._target(batch.future, batch.text), batch.future)

    def after_step(self, model: LatentDynamics) -> None:
        self._target.update(model.encoders, self._config.ema_momentum)

    def keeps(self, step: int) -> bool:
        """Not before a curriculum has come to the actions: run time gives them to the planner."""
        return step > self._config.action_free_until * self._steps

    @torch.no_grad()
    def evaluate(self, model: LatentDynamics, windows: WindowTensors, step: int) -> dict[str, float]:
        """spread_*: how far the target embeddings are apart (0: collapsed)."""
        model.eval()
        ratio = 0.0 if self.keeps(step) else 1.0  # no action token has been trained yet
        totals = Means()
        spreads: dict[str, float] = {}
        for part in windows.all.split(VALIDATION_BATCH):
            batch = windows.take(part)
            z_future, z_now = self._target(batch.future, batch.text), self._target(batch.now, batch.text)
            foreseen = model(batch.past, batch.now, batch.text, batch.actions, ratio)
            loss = dynamics_loss(model, foreseen, z_future, batch.future)
            still = persistence_loss(z_now, z_future, batch.now, batch.future, self._config.recon_weight)
            totals.add(len(part), {**loss._asdict(), "persistence": still})
            spreads = {f"spread_{n}": embedding_spread(z).item() for n, z in z_future._asdict().items()}
        return {**totals.with_skill(), **spreads}

    def check(self, metrics: dict[str, float], *, blind: bool) -> None:
        if metrics["spread_semantic"] < COLLAPSED and not blind or metrics["spread_proprio"] < COLLAPSED:
            raise CladError("the embeddings have collapsed to a point", "Lower the rate or raise ema_momentum")


class BackwardObjective:
    """The backward planner's: the frozen embeddings of the demonstration's end and of the halves of the way there."""

    def __init__(self) -> None:
        self.modules: dict[str, nn.Module] = {}

    def loss(
        self, model: BackwardPlanner, windows: WindowTensors, batch: Batch, past: Observed, now: Observed, step: int
    ) -> BackwardLoss:
        return backward_loss(model.goals(now, batch.text), windows.goals(batch.windows, model.config.subgoals))

    def after_step(self, model: BackwardPlanner) -> None:
        """Nothing follows: the targets are frozen."""

    def keeps(self, step: int) -> bool:
        return True

    @torch.no_grad()
    def evaluate(self, model: BackwardPlanner, windows: WindowTensors, step: int) -> dict[str, float]:
        model.eval()
        totals = Means()
        for part in windows.all.split(VALIDATION_BATCH):
            batch = windows.take(part)
            targets = windows.goals(part, model.config.subgoals)
            loss = backward_loss(model.goals(batch.now, batch.text), targets)
            still = backward_loss(batch.now.visual[:, None].expand_as(targets), targets).total
            totals.add(len(part), {**loss._asdict(), "persistence": still})
        return totals.with_skill()

    def check(self, metrics: dict[str, float], *, blind: bool) -> None:
        """Frozen targets cannot collapse."""


class Means:
    """Means of named scalars over parts of unequal size."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, count: int, values: dict[str, torch.Tensor]) -> None:
        """`values` are means over `count` windows."""
        self._count += count
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.item() * count

    def with_skill(self) -> dict[str, float]:
        """The means, `skill` = total / persistence first, without the persistence itself (0 where nothing ever moves)."""
        means = {name: value / self._count for name, value in self._sums.items()}
        return {"skill": means["total"] / max(means.pop("persistence"), 1e-9), **means}
