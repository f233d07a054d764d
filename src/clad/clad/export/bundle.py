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
from safetensors.torch import save_file
from torch import nn

from clad.data import statistics
from clad.encoders.encoder import Encoder
from clad.errors import CladError
from clad.export.card import model_card
from clad.export.graph import OPSET, relative_error, require_parity, write_graph
from clad.export.modules import PlannerGraph, input_shapes, policy_graphs
from clad.export.variants import BATCHES
from clad.model.config import Dims, PlannerConfig, PolicyConfig
from clad.model.planner import AnyPlanner
from clad.model.policy import DiffusionPolicy
from clad.runtime.bundle import SCHEMA, ModelBundle, load_bundle, sha256_file
from clad.runtime.catalogue import SIDECAR, weights_file
from clad.runtime.session import open_session
from clad.train import run as runs
from clad.train.policy import load_planner


def export_bundle(
    planner_run: Path | None, policy_run: Path, encoder_path: Path, name: str, out: Path, *, torch_weights: bool = False
) -> ModelBundle:
    """Write the bundle `out/name` and load it back. planner_run is not used by a policy-only model.

    torch_weights: also write the weights as safetensors, for the torch back-end. Raises CladError when the runs or the
    encoder do not belong together or a graph strays from torch.
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
    planner, planner_result = _planner(planner_run, info) if info.planner_sha256 else (None, {})
    training = {
        "planner": dict(planner_result),
        "policy": result,
        "demonstrations": info.demonstrations,
        "visuals": list(info.visuals),
    }
    return write_bundle(info, planner, policy, name, out, training=training, torch_weights=torch_weights)


def write_bundle(
    info: runs.RunInfo,
    planner: AnyPlanner | None,
    policy: DiffusionPolicy,
    name: str,
    out: Path,
    *,
    training: Mapping,
    torch_weights: bool = False,
) -> ModelBundle:
    """Write `out/name` from models in memory. What stands there already is replaced, once the new one is complete.

    training: what the sidecar says of how the weights came to be.
    """
    graphs: dict[str, nn.Module] = {"planner": PlannerGraph(planner)} if planner else {}
    graphs |= policy_graphs(policy)
    weights = {weights_file("planner"): planner} if planner else {}
    weights |= {weights_file("policy"): policy}
    final, directory = out / name, out / f".{name}.{os.getpid()}"
    directory.mkdir(parents=True)
    try:
        parity = {
            n: _write(g, directory / f"{n}.onnx", info.dims, info.config.planner, info.config.policy)
            for n, g in graphs.items()
        }
        if torch_weights:
            for file, module in weights.items():
                tensors = {k: v.detach().contiguous() for k, v in module.state_dict().items()}
                save_file(tensors, directory / file, {"dims": json.dumps(asdict(info.dims))})
        files = {f.name: sha256_file(f) for f in sorted(directory.iterdir())}
        body = {**sidecar(info, name, parity, files), "training": dict(training)}
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
            "sampler": policy.sampler,
            "sample_steps": policy.sample_steps,
        },
        "tasks": list(info.tasks),
        "files": files,
        "opset": OPSET,
        "parity": parity,
        "blind": info.blind,
    }


def example_inputs(
    names: Sequence[str], dims: Dims, planner: PlannerConfig, policy: PolicyConfig, *, batch: int, seed: int
) -> list[torch.Tensor]:
    """Seeded, non-zero inputs of a graph by their names."""
    shapes = input_shapes(dims, planner, policy)
    rng = np.random.default_rng(seed)
    return [
        torch.from_numpy(rng.integers(1, policy.train_steps, batch))
        if name == "timestep"
        else torch.from_numpy(rng.standard_normal((batch, *shapes[name])).astype(np.float32))
        for name in names
    ]


def _planner(planner_run: Path | None, info: runs.RunInfo) -> tuple[AnyPlanner, Mapping[str, float]]:
    if planner_run is None:
        raise CladError("this policy stands on a planner", "Give the stage 1 run with --planner")
    planner, _ = load_planner(planner_run)
    if runs.weights_sha256(planner_run) != info.planner_sha256:
        raise CladError(
            f"the policy was trained on another planner than {planner_run}",
            "Give the planner it was trained on, or train the policy again",
        )
    return planner, runs.read_info(planner_run, "planner")[1]


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
