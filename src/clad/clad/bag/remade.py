"""The planner and policy that a recording was made with, found by what it says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clad.bag.metrics import EPISODE, LATENT_FORESIGHT
from clad.bag.reader import read_messages, read_metadata
from clad.contract import Observation, RobotContract, load_contract
from clad.data.rosbag import embedded_contract
from clad.errors import CladError
from clad.runtime.bundle import ModelBundle, load_bundle
from clad.runtime.catalogue import find_recorded
from clad.runtime.execution.latency import LatencyModel
from clad.runtime.execution.rtc import Continuation
from clad.runtime.planner import Planner
from clad.runtime.policy import Policy
from clad.runtime.types import Chunk, Foresight
from clad.stamps import SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the models ran. The first five as the recording tells them, provider and threads as one who replays it says."""

    precision: str = "fp32"
    fused: bool = False
    sample_steps: int = 0
    warm_start: bool = False
    execution: str = "sync"
    provider: str = "cpu"
    threads: int = 1


class Remade:
    """What planner and policy computed, computed again. mode: lockstep, free-run, or empty where nobody says."""

    def __init__(
        self, bundle: ModelBundle, contract: RobotContract, mode: str, settings: Settings, like: Remade | None = None
    ) -> None:
        self.bundle, self.contract, self.mode = bundle, contract, mode
        self.continues = settings.execution == "rtc"
        self._key = bundle.sha256, contract.hash, settings
        same = like is not None and like._key == self._key
        self._models = like._models if same else _models(bundle, contract, settings)
        self._planner, self._policy = self._models
        self._episode: int | None = None
        self._handed_over = -1  # actions of the episode up to this step are with the planner
        period = round(contract.control_period * SECOND)
        self._continuation = Continuation(period, LatencyModel())

    @classmethod
    def of(
        cls,
        path: Path,
        *,
        model: str = "",
        robot: str | None = None,
        provider: str = "cpu",
        threads: int = 1,
        like: Remade | None = None,
    ) -> Remade:
        """For the recording at `path`. model: where its bundle is; empty: among the models. robot: its contract.

        like: of a recording before, which is done with; its models are used again where they are the same.
        Raises CladError when the recording names no model, or that very model is not there.
        """
        metadata = read_metadata(path)
        recorded, mode = _recorded(path)
        bundle = load_bundle(find_recorded(recorded, model))
        contract = load_contract(robot) if robot else embedded_contract(path) or load_contract(bundle.contract_name)
        settings = Settings(
            precision=metadata.get("precision", "fp32"),
            fused=metadata.get("fused") == "True",
            sample_steps=int(metadata.get("sample_steps", 0)),
            warm_start=metadata.get("warm_start") == "True",
            execution=metadata.get("execution", "sync"),
            provider=provider,
            threads=threads,
        )
        return cls(bundle, contract, metadata.get("mode", mode), settings, like)

    def require_model(self, model_id: str) -> None:
        """Raises CladError for a message of another model than the first foresight's."""
        if model_id != self.bundle.id:
            raise CladError(f"the recording has messages of {model_id} beside {self.bundle.id}", "Replay them apart")

    def foresight(self, told: Any, observation: Observation, actions: Mapping[int, np.ndarray]) -> Foresight:
        """The foresight of an observation. told: the LatentForesight with its episode, seed and instruction.

        actions: step -> native action, of its episode. Raises CladError as Planner.plan does.
        """
        if told.episode != self._episode:
            self._planner.reset(told.instruction, told.seed)
            self._episode, self._handed_over = told.episode, -1
        for step in sorted(step for step in actions if self._handed_over < step < observation.step):
            self._planner.executed(step, actions[step])
        self._handed_over = max(self._handed_over, observation.step - 1)
        return self._planner.plan(observation)

    def chunk(self, episode: int, foresight: Foresight) -> Chunk:
        """The chunk of a foresight, after those of the episode that were asked for before."""
        chunk = self._policy.act(foresight, None, self._continuation.previous(episode, foresight.step))
        self._continuation.made(episode, chunk)
        return chunk


def _models(bundle: ModelBundle, contract: RobotContract, settings: Settings) -> tuple[Planner, Policy]:
    placement = {"provider": settings.provider, "threads": settings.threads, "precision": settings.precision}
    sampling = {"fused": settings.fused, "sample_steps": settings.sample_steps, "warm_start": settings.warm_start}
    return Planner(bundle, contract, **placement), Policy(bundle, contract, **placement, **sampling)


def _recorded(path: Path) -> tuple[str, str]:
    """Model id of the first foresight, and the mode that /episode told before it."""
    mode = ""
    for item in read_messages(path, (EPISODE, LATENT_FORESIGHT)):
        if item.topic == LATENT_FORESIGHT:
            return item.message.model_id, mode
        mode = item.message.mode
    raise CladError(f"{path}: {LATENT_FORESIGHT}: nothing to compare with", "Record the planner's topics too")
