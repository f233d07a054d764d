"""What all episodes of a graph share, as the result file and the bags tell it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from clad.contract import RobotContract, contract_data
from clad.data import embedded
from clad.eval.episodes import EpisodeSpec
from clad.eval.result import EvalResult
from clad.runtime.bundle import ModelBundle
from clad.sim.suites import task_info


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Words and numbers as the options and parameters of these names; rates in Hz. max_steps 0: the suite's limit.

    instruction: what the robot is told; empty: a LIBERO task's own words. delay_ms: injected before every chunk.
    """

    contract: RobotContract
    bundle: ModelBundle
    bridge: str
    protocol: str
    mode: str
    visuals: str
    execution: str
    max_steps: int
    instruction: str
    precision: str
    fused: bool
    sample_steps: int
    warm_start: bool
    inference_rate: float
    camera_rate: float
    real_time_factor: float
    delay_ms: float = 0.0

    @property
    def simulated(self) -> bool:
        """Whether there is a benchmark with evaluation states and limits; an arm has scenes without end."""
        return self.bridge == "sim_bridge"

    @property
    def joining(self) -> str:
        """How chunks are joined: where simulated time waits for them there is nothing to choose."""
        return self.execution if self.mode == "free-run" else "sync"

    def result(self, suite: str) -> EvalResult:
        """A result without rows."""
        return EvalResult(
            suite=suite,
            protocol=self.protocol,
            mode=self.mode,
            visuals=self.visuals,
            execution=self.joining,
            perturbations={"delay": self.delay_ms / 1000} if self.delay_ms else {},
            model={"name": self.bundle.name, "sha256": self.bundle.sha256},
            precision=self.precision,
            fused=self.fused,
            sample_steps=self.sample_steps,
            warm_start=self.warm_start,
        )

    def metadata(self, spec: EpisodeSpec) -> dict[str, str | int | float | bool]:
        """What the bag of an episode is told."""
        return {
            "suite": spec.suite,
            "task": spec.task,
            "instruction": self.instruction or task_info(spec.suite, spec.task).instruction,
            "init_index": spec.init_index,
            "seed": spec.seed,
            "protocol": self.protocol,
            "mode": self.mode,
            "visuals": self.visuals,
            "execution": self.joining,
            "delay_ms": self.delay_ms,
            "max_steps": self.max_steps,
            "model": self.bundle.name,
            "model_sha256": self.bundle.sha256,
            "encoder_sha256": self.bundle.encoder_sha256,
            "precision": self.precision,
            "fused": self.fused,
            "sample_steps": self.sample_steps,
            "warm_start": self.warm_start,
            "contract": self.contract.name,
            "contract_hash": self.contract.hash,
            embedded.KEY: json.dumps(contract_data(self.contract)),
        }
