"""A planner in torch, for pictures that need what its ONNX graph keeps to itself: z_dyn, and gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from clad.data.statistics import Normalisers
from clad.errors import CladError
from clad.export.graph import relative_error, require_parity
from clad.model.config import Dims, PlannerConfig, from_dict
from clad.model.dynamics import LatentDynamics
from clad.runtime.bundle import ModelBundle, load_bundle
from clad.runtime.catalogue import graph_file
from clad.runtime.session import open_session
from clad.train import run as runs
from clad.train.policy import load_planner

_UNUSED = ("mask_token", "decode_visual_head.")  # weights that a planner's graph may do without
_PREFIX = "model."  # of every weight in the graph (export.modules.PlannerGraph)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudiedPlanner:
    """A frozen planner with what it takes to feed it. Has the fields of a ModelBundle that `load_encoder` reads.

    held_out: keys of the demonstrations that it was not trained on, None where nobody says (a model bundle).
    """

    name: str
    path: Path
    model: LatentDynamics
    config: PlannerConfig
    horizon: int
    proprio_variant: str
    cameras: tuple[str, ...]
    features: tuple[str, ...]
    normalisers: Normalisers
    encoder_name: str
    encoder_sha256: str
    contract_name: str
    blind: bool
    held_out: tuple[str, ...] | None


def open_planner(path_or_name: str) -> StudiedPlanner:
    """The planner of a training run's directory, or of a model bundle by path or name ('' is the default model).

    Raises CladError when there is none, or it has no z_dyn (the lbp baseline).
    """
    is_run = path_or_name and (Path(path_or_name) / runs.SIDECAR).is_file()
    return _of_run(Path(path_or_name)) if is_run else _of_bundle(load_bundle(path_or_name))


def _of_run(run: Path) -> StudiedPlanner:
    model, info = load_planner(run)
    data = info.config.data
    return StudiedPlanner(
        name=run.name,
        path=run,
        model=_require_dynamics(model, run.name),
        config=info.config.planner,
        horizon=info.dims.horizon,
        proprio_variant=data.proprio,
        cameras=data.cameras,
        features=data.features,
        normalisers=info.normalisers,
        encoder_name=info.cache.encoder_name,
        encoder_sha256=info.cache.encoder_sha256,
        contract_name=info.cache.contract_name,
        blind=info.blind,
        held_out=info.validation,
    )


def _of_bundle(bundle: ModelBundle) -> StudiedPlanner:
    if not bundle.has_planner:
        raise CladError(f"{bundle.name} has no planner", "Give another model")
    return StudiedPlanner(
        name=bundle.id,
        path=bundle.path,
        model=_from_graph(bundle),
        config=from_dict(PlannerConfig, bundle.config["planner"]),
        horizon=bundle.horizon,
        proprio_variant=bundle.proprio_variant,
        cameras=bundle.cameras,
        features=bundle.features,
        normalisers=Normalisers(proprio=bundle.proprio, visual=bundle.visual, action=bundle.action),
        encoder_name=bundle.encoder_name,
        encoder_sha256=bundle.encoder_sha256,
        contract_name=bundle.contract_name,
        blind=bundle.blind,
        held_out=None,
    )


def _from_graph(bundle: ModelBundle) -> LatentDynamics:
    """The torch planner with the weights of planner.onnx, after checking that it computes the same."""
    file = bundle.path / graph_file("planner", "fp32")
    session = open_session(file)
    shapes = {i.name: i.shape[1:] for i in session.get_inputs()}
    config = from_dict(PlannerConfig, bundle.config["planner"])
    if config.kind != "clad":
        raise CladError(f"{bundle.name} is of kind {config.kind}: it has no z_dyn", "Give a CLaD planner")
    horizon, action = shapes["actions"]
    lengths = {name: shapes[name][0] for name in ("proprio", "visual", "text")}
    model = LatentDynamics(Dims(**lengths, action=action, horizon=horizon), config)
    try:
        missing, _ = model.load_state_dict(_weights(file), strict=False)
    except RuntimeError as error:
        raise CladError(f"{file} is no CLaD planner of its configuration", "Give a training run instead") from error
    if lost := [name for name in missing if not name.startswith(_UNUSED)]:
        raise CladError(f"{file} does not show its weights {', '.join(lost[:3])}", "Give a training run instead")
    model = model.eval().requires_grad_(False)
    _check(model, session, shapes)
    return model


def _weights(file: Path) -> Mapping[str, torch.Tensor]:
    """Weights by their names in torch. The exporter transposes those of some linear layers and loses their names, but not
    those of the biases that are added right after."""
    import onnx

    graph = onnx.load(str(file)).graph
    stored = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    found = {name: array for name, array in stored.items() if name.startswith(_PREFIX)}
    added = {name: node.input for node in graph.node if node.op_type == "Add" for name in node.input}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in stored:
            for bias in added.get(node.output[0], ()):
                if bias.startswith(_PREFIX) and bias.endswith(".bias"):
                    found[f"{bias.removesuffix('bias')}weight"] = stored[node.input[1]].T
    return {name.removeprefix(_PREFIX): torch.from_numpy(np.array(array)) for name, array in found.items()}


def _check(model: LatentDynamics, session, shapes: Mapping[str, tuple[int, ...]]) -> None:
    from clad.export.modules import PlannerGraph

    rng = np.random.default_rng(0)
    feed = {name: rng.standard_normal((2, *shape)).astype(np.float32) for name, shape in shapes.items()}
    outputs = ["proprio_foresight", "semantic_foresight"]
    graph = PlannerGraph(model)
    with torch.no_grad():
        found = graph(*(torch.from_numpy(feed[name]) for name in graph.inputs))
    for name, expected, value in zip(outputs, session.run(outputs, feed), found):
        require_parity(name, relative_error(value.numpy(), expected))


def _require_dynamics(model, name: str) -> LatentDynamics:
    if not isinstance(model, LatentDynamics):
        raise CladError(f"{name} is an lbp planner: it has no z_dyn", "Give a CLaD planner")
    return model
