"""From two training runs to a model bundle: three ONNX graphs and the sidecar that says everything about them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch
from torch import nn

from clad.data import statistics
from clad.encoders.encoder import Encoder
from clad.errors import CladError
from clad.export.card import model_card
from clad.export.graph import OPSET, relative_error, require_parity, sha256_of, write_graph
from clad.model.config import Dims, PlannerConfig, PolicyConfig
from clad.model.dynamics import Foreseen, Observed
from clad.model.planner import AnyPlanner, foresight_width
from clad.model.policy import Condition, DiffusionPolicy
from clad.runtime.bundle import SCHEMA, ModelBundle, load_bundle
from clad.runtime.catalogue import SIDECAR
from clad.runtime.session import open_session
from clad.train import run as runs
from clad.train.policy import load_planner

BATCHES = (1, 2, 5)  # parity is measured at each; the graphs were traced with 2


class PlannerGraph(nn.Module):
    """planner.onnx: p_{t-tau}, v_{t-tau}, p_t, v_t, l, a_{t-tau:t} -> z^p, z^s (eqs 12, 13), h_p(z^p)."""

    inputs = ("proprio_past", "visual_past", "proprio", "visual", "text", "actions")
    outputs = ("proprio_foresight", "semantic_foresight", "proprio_predicted")

    def __init__(self, model: AnyPlanner) -> None:
        super().__init__()
        self.model = model

    def forward(self, proprio_past, visual_past, proprio, visual, text, actions):
        now = Observed(proprio, visual)
        foreseen = self.model(Observed(proprio_past, visual_past), now, text, actions)
        return foreseen.proprio, foreseen.semantic, self.model.predict_proprio(foreseen, now)


class ConditionGraph(nn.Module):
    """condition.onnx: p_t, v_t, l and the foresights that the variant uses -> the denoiser's condition (eqs 20, 21)."""

    outputs = ("condition",)

    def __init__(self, condition: Condition) -> None:
        super().__init__()
        self.condition = condition
        used = {"proprio_foresight": condition.uses_proprio, "semantic_foresight": condition.uses_semantic}
        self._foresights = tuple(name for name, is_used in used.items() if is_used)
        self.inputs = ("proprio", "visual", "text", *self._foresights)

    def forward(self, proprio, visual, text, first=None, second=None):
        # torch.export takes no *args: `first` and `second` are the foresights in use, in order
        given = dict(zip(self._foresights, (first, second)))
        foreseen = Foreseen(given.get("proprio_foresight"), given.get("semantic_foresight"))
        return self.condition(Observed(proprio, visual), text, foreseen)


class DenoiserGraph(nn.Module):
    """denoiser.onnx: condition, noisy chunk, timestep -> prediction (eq. 22)."""

    inputs = ("condition", "noisy", "timestep")
    outputs = ("prediction",)

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, condition, noisy, timestep):
        return self.denoiser(condition, noisy, timestep)


def export_bundle(planner_run: Path | None, policy_run: Path, encoder_path: Path, name: str, out: Path) -> ModelBundle:
    """Write the bundle `out/name` and load it back. planner_run is not used by a policy-only model.

    Raises CladError when the runs or the encoder do not belong together or a graph strays from torch. A bundle that
    stands there already is replaced, once the new one is complete.
    """
    info, result = runs.read_info(policy_run, "policy")
    policy = runs.load_weights(policy_run, DiffusionPolicy(info.dims, info.config.planner, info.config.policy)).eval()
    encoder = Encoder(encoder_path)
    if encoder.id != info.cache.encoder_sha256:
        raise CladError(
            f"{policy_run} was trained on encoder {info.cache.encoder_sha256[:12]}, {encoder_path} is "
            f"{encoder.id[:12]}",
            "Give the encoder whose features it was trained on",
        )
    graphs: dict[str, nn.Module] = {}
    planner_result: Mapping[str, float] = {}
    if info.planner_sha256:
        graphs["planner"], planner_result = _planner_graph(planner_run, info)
    graphs |= {"condition": ConditionGraph(policy.condition), "denoiser": DenoiserGraph(policy.denoiser)}

    final, directory = out / name, out / f".{name}.{os.getpid()}"
    directory.mkdir(parents=True)
    try:
        parity = {
            n: _write(g, directory / f"{n}.onnx", info.dims, info.config.planner, info.config.policy)
            for n, g in graphs.items()
        }
        body = sidecar(info, name, parity, {f"{n}.onnx": sha256_of(directory / f"{n}.onnx") for n in graphs})
        body["training"] = {
            "planner": dict(planner_result),
            "policy": result,
            "demonstrations": info.demonstrations,
            "visuals": list(info.visuals),
        }
        (directory / SIDECAR).write_text(json.dumps(body, indent=1) + "\n")
        parameters = {n: sum(p.numel() for p in g.parameters()) for n, g in graphs.items()}
        (directory / "README.md").write_text(model_card(body, parameters))
        load_bundle(directory)
        if final.exists():
            shutil.rmtree(final)
        directory.rename(final)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return load_bundle(final)


def sidecar(info: runs.RunInfo, name: str, parity: dict[str, float], files: dict[str, str]) -> dict:
    """model.json, as runtime/bundle.py reads it."""
    policy, data = info.config.policy, info.config.data
    return {
        "schema": SCHEMA,
        "name": name,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "config": {"planner": asdict(info.config.planner), "policy": asdict(policy)},
        "contract": {"name": info.cache.contract_name, "hash": info.cache.contract_hash},
        "encoder": {"name": info.cache.encoder_name, "sha256": info.cache.encoder_sha256},
        "proprio_variant": data.proprio,
        "cameras": list(data.cameras),
        "features": list(data.features),
        "horizon": info.dims.horizon,
        "execute_steps": policy.execute_steps,
        "normalisers": statistics.to_json(info.normalisers),
        "diffusion": {
            "train_steps": policy.train_steps,
            "schedule": "squaredcos_cap_v2",
            "prediction": policy.prediction,
            "sampler": "ddim",
            "sample_steps": policy.sample_steps,
        },
        "tasks": list(info.tasks),
        "files": files,
        "opset": OPSET,
        "parity": parity,
        "blind": info.blind,
    }


def check_bundle(path: Path) -> dict[str, list[str]]:
    """Verify a bundle's checksums and load every graph. Returns each graph's inputs. Raises CladError for a bad one."""
    bundle = load_bundle(path)
    return {name: [i.name for i in open_session(bundle.path / name).get_inputs()] for name in bundle.files}


def example_inputs(
    names: Sequence[str], dims: Dims, planner: PlannerConfig, policy: PolicyConfig, *, batch: int, seed: int
) -> list[torch.Tensor]:
    """Seeded, non-zero inputs of a graph by their names."""
    token = foresight_width(dims, planner)
    shapes = {
        "proprio_past": (dims.proprio,), "visual_past": (dims.visual,), "proprio": (dims.proprio,),
        "visual": (dims.visual,), "text": (dims.text,), "actions": (dims.horizon, dims.action),
        "proprio_foresight": (planner.proprio_tokens, token),
        "semantic_foresight": (planner.semantic_tokens, token),
        "condition": (policy.width,), "noisy": (dims.horizon, dims.action),
    }  # fmt: skip
    rng = np.random.default_rng(seed)
    return [
        torch.from_numpy(rng.integers(1, policy.train_steps, batch))
        if name == "timestep"
        else torch.from_numpy(rng.standard_normal((batch, *shapes[name])).astype(np.float32))
        for name in names
    ]


def _planner_graph(planner_run: Path | None, info: runs.RunInfo) -> tuple[PlannerGraph, Mapping[str, float]]:
    if planner_run is None:
        raise CladError("this policy stands on a planner", "Give the stage 1 run with --planner")
    planner, _ = load_planner(planner_run)
    if runs.weights_sha256(planner_run) != info.planner_sha256:
        raise CladError(
            f"the policy was trained on another planner than {planner_run}",
            "Give the planner it was trained on, or train the policy again",
        )
    return PlannerGraph(planner), runs.read_info(planner_run, "planner")[1]


def _write(graph: nn.Module, file: Path, dims: Dims, planner: PlannerConfig, policy: PolicyConfig) -> float:
    """Export one graph and return its parity, the largest relative error over BATCHES."""
    graph = graph.eval()
    example = example_inputs(graph.inputs, dims, planner, policy, batch=2, seed=0)
    write_graph(graph, example, file, inputs={n: {0: "batch"} for n in graph.inputs}, outputs=graph.outputs)
    session = open_session(file)
    error = 0.0
    for batch in BATCHES:
        values = example_inputs(graph.inputs, dims, planner, policy, batch=batch, seed=batch)
        with torch.no_grad():
            reference = graph(*values)
        reference = reference if isinstance(reference, tuple) else (reference,)
        results = session.run(list(graph.outputs), {n: v.numpy() for n, v in zip(graph.inputs, values, strict=True)})
        error = max([error, *(relative_error(v, r.numpy()) for v, r in zip(results, reference, strict=True))])
    require_parity(file.name, error)
    return error
