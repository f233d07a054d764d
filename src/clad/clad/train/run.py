"""A run directory: run.json says what was trained on what, weights.safetensors is the result, state.safetensors resumes.

Every file is replaced atomically, so a killed run leaves the last complete state behind.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clad.data import statistics
from clad.data.features import CacheInfo
from clad.errors import CladError
from clad.model.config import Config, Dims, from_dict, merge

SCHEMA = 1
SIDECAR, WEIGHTS, STATE = "run.json", "weights.safetensors", "state.safetensors"
_RNG, _CUDA_RNG = "rng", "rng_cuda"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Everything that makes a run's weights usable, as in run.json.

    stage: planner | policy. cache: what the features are. features: where they lay. validation: keys of the
    demonstrations held out. tasks: suite, task and instruction of each task trained on. visuals: which of the simulator's
    visuals the demonstrations show. planner_sha256: of the weights that a policy was trained on ('' for a planner and for
    a policy-only model).
    """

    stage: str
    config: Config
    dims: Dims
    cache: CacheInfo
    features: str
    normalisers: statistics.Normalisers
    validation: tuple[str, ...]
    demonstrations: int
    tasks: tuple[dict[str, Any], ...]
    visuals: tuple[str, ...]
    blind: bool
    seed: int
    planner_sha256: str = ""

    def to_json(self) -> dict:
        body = {
            name: getattr(self, name)
            for name in ("stage", "features", "demonstrations", "blind", "seed", "planner_sha256")
        }
        return {
            "schema": SCHEMA,
            **body,
            "config": asdict(self.config),
            "dims": asdict(self.dims),
            "cache": asdict(self.cache),
            "normalisers": statistics.to_json(self.normalisers),
            "validation": list(self.validation),
            "tasks": list(self.tasks),
            "visuals": list(self.visuals),
        }


def write_info(run: Path, info: RunInfo, result: Mapping[str, Any]) -> None:
    """Write run.json. result: step, metrics and whatever else the stage reports of the weights beside it."""
    run.mkdir(parents=True, exist_ok=True)
    _replace_text(run / SIDECAR, json.dumps({**info.to_json(), "result": dict(result)}, indent=2) + "\n")


def read_info(run: Path, stage: str) -> tuple[RunInfo, dict[str, Any]]:
    """run.json and its result. Raises CladError unless `run` is a run of that stage."""
    remedy = f"Train one with: clad train {stage} --out {run}"
    try:
        body = json.loads((run / SIDECAR).read_text())
        if body["schema"] != SCHEMA or body["stage"] != stage:
            raise CladError(f"{run} is a {body['stage']} run of schema {body['schema']}, not a {stage} run", remedy)
        info = RunInfo(
            stage=stage,
            config=merge(Config(), body["config"]),
            dims=from_dict(Dims, body["dims"]),
            cache=from_dict(CacheInfo, body["cache"]),
            normalisers=statistics.from_json(body["normalisers"]),
            validation=tuple(body["validation"]),
            tasks=tuple(body["tasks"]),
            visuals=tuple(body["visuals"]),
            **{name: body[name] for name in ("features", "demonstrations", "blind", "seed", "planner_sha256")},
        )
        return info, body["result"]
    except FileNotFoundError:
        raise CladError(f"{run} is no run: it has no {SIDECAR}", remedy) from None
    except (ValueError, KeyError, TypeError) as error:
        raise CladError(f"{run / SIDECAR} is malformed: {error!r}", remedy) from error


def save_weights(run: Path, module: torch.nn.Module) -> None:
    """The module's weights as the run's result."""
    _save(run / WEIGHTS, {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}, {})


def load_weights(run: Path, module: torch.nn.Module) -> torch.nn.Module:
    """The run's result into `module`. Raises CladError when it is not there or of another architecture."""
    file = run / WEIGHTS
    if not file.is_file():
        raise CladError(
            f"{run} has no {WEIGHTS}: training has not reached its first validation", "Let it run on: --resume"
        )
    try:
        module.load_state_dict(load_file(file))
    except RuntimeError as error:
        raise CladError(
            f"{file} does not fit its {SIDECAR}: {str(error).splitlines()[-1].strip()}", "Train again"
        ) from error
    return module


def weights_sha256(run: Path) -> str:
    """Which weights these are."""
    return hashlib.sha256((run / WEIGHTS).read_bytes()).hexdigest()


def save_state(
    run: Path, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer, progress: Mapping[str, Any]
) -> None:
    """Everything that an exact continuation needs, in one file: weights, optimiser moments, random state, progress."""
    tensors = {f"{name}/{k}": v for name, module in modules.items() for k, v in module.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{k}": v for k, v in moments.items()}
    tensors[_RNG] = torch.get_rng_state()
    if torch.cuda.is_initialized():
        tensors[_CUDA_RNG] = torch.cuda.get_rng_state()
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    _save(run / STATE, tensors, {"progress": json.dumps(dict(progress))})


def load_state(run: Path, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Continue from `save_state`; returns the progress. Raises CladError when there is nothing to continue."""
    file = run / STATE
    if not file.is_file():
        raise CladError(f"there is nothing to resume in {run}", "Start it without --resume")
    with safe_open(file, framework="pt") as stored:
        progress = json.loads(stored.metadata()["progress"])
    tensors = load_file(file)
    try:
        for name, module in modules.items():
            prefix = f"{name}/"
            module.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
    except RuntimeError as error:
        raise CladError(
            f"{file} is of another configuration", "Resume with the configuration it was started with"
        ) from error
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, number, name = key.split("/")
            moments.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors[_RNG])
    if torch.cuda.is_initialized() and _CUDA_RNG in tensors:
        torch.cuda.set_rng_state(tensors[_CUDA_RNG])
    return progress


def _save(file: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    save_file(tensors, temporary, metadata)
    temporary.replace(file)


def _replace_text(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(file)
