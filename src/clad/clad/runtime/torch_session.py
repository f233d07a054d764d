"""The second back-end: a bundle's networks as torch modules, eager on the CPU and as captured CUDA graphs on a GPU.

The only part of the runtime that imports torch, and only when a 'torch' provider is asked for. A CUDA graph replays a
whole network with one launch, and launches are what a batch of one spends its time on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from clad.errors import CladError
from clad.export.modules import PlannerGraph, SamplerGraph, input_shapes, policy_graphs
from clad.model.config import Dims, PlannerConfig, PolicyConfig, from_dict
from clad.model.planner import build_planner
from clad.model.policy import DiffusionPolicy
from clad.runtime.bundle import ModelBundle
from clad.runtime.catalogue import weights_file
from clad.runtime.samplers import make_fusable

WARM_UP_RUNS = 3  # before a capture, so that libraries have chosen their kernels


@dataclass(frozen=True, slots=True)
class TorchInput:
    """One input of a network, as ONNX Runtime describes them. shape: the batch first, which is symbolic."""

    name: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class TorchOutput:
    """One output of a network, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class _Capture:
    """A CUDA graph with the buffers that it reads and writes; calling it means filling, replaying, reading."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[torch.Tensor, ...]
    outputs: tuple[torch.Tensor, ...]


class TorchSession:
    """A torch module behind the protocol of runtime/session.py. Not thread-safe: a capture has one set of buffers.

    shapes: of each input without the batch. device: 'cpu' or 'cuda'; a CUDA graph is captured for each batch size.
    Raises CladError when there is no such device.
    """

    def __init__(self, module: nn.Module, shapes: Mapping[str, tuple[int, ...]], *, device: str) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise CladError(
                f"provider 'torch-cuda' did not start: torch {torch.__version__} finds no GPU",
                "Install a CUDA build of torch and a driver it supports, or ask for provider cpu",
            )
        self._module = module.eval().requires_grad_(False).to(device)
        self._inputs = [TorchInput(name, ("batch", *shapes[name])) for name in module.inputs]
        self._device = torch.device(device)
        self._captures: dict[int, _Capture] = {}

    def get_inputs(self) -> list[TorchInput]:
        """Every input, in the order of the module's arguments."""
        return self._inputs

    def get_outputs(self) -> list[TorchOutput]:
        """Every output, in the order of the module's results."""
        return [TorchOutput(name) for name in self._module.outputs]

    def run(self, outputs: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The named outputs as arrays of their own; `feed` holds all inputs, (B, ...) each."""
        values = [torch.from_numpy(np.ascontiguousarray(feed[i.name])) for i in self._inputs]
        with torch.inference_mode():
            results = self._replay(values) if self._device.type == "cuda" else _tuple(self._module(*values))
            named = dict(zip(self._module.outputs, results, strict=True))
            return [named[name].cpu().numpy() for name in outputs]

    def _replay(self, values: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        batch = len(values[0])
        if batch not in self._captures:
            self._captures[batch] = self._capture(values)
        capture = self._captures[batch]
        for buffer, value in zip(capture.inputs, values, strict=True):
            buffer.copy_(value)
        capture.graph.replay()
        return capture.outputs

    def _capture(self, values: list[torch.Tensor]) -> _Capture:
        inputs = tuple(value.to(self._device) for value in values)
        side = torch.cuda.Stream()  # a capture must not see work of the default stream
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_RUNS):
                self._module(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = _tuple(self._module(*inputs))
        return _Capture(graph, inputs, outputs)


def open_torch_session(bundle: ModelBundle, graph: str, *, device: str, threads: int) -> TorchSession:
    """A session over 'planner', 'condition', 'denoiser' or 'sampler' from the bundle's safetensors files.

    threads: CPU threads, which torch has for the whole process. Raises CladError when the bundle has no torch weights,
    they are of another architecture, or there is no such device.
    """
    file = weights_file(graph)
    if file not in bundle.files:
        raise CladError(
            f"model '{bundle.name}' has no torch weights ({file})",
            "Export it from its training runs with --torch-weights, or ask for an ONNX provider",
        )
    torch.set_num_threads(threads)
    path = bundle.path / file
    try:
        with safe_open(path, framework="pt") as stored:
            dims = from_dict(Dims, json.loads(stored.metadata()["dims"]))
        planner = from_dict(PlannerConfig, bundle.config["planner"])
        policy = from_dict(PolicyConfig, bundle.config["policy"])
        model = build_planner(dims, planner) if graph == "planner" else DiffusionPolicy(dims, planner, policy)
        model.load_state_dict(load_file(path))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CladError(f"{path} does not fit its model.json: {reason}", "Export the model again") from error
    return TorchSession(graph_module(graph, model, policy), input_shapes(dims, planner, policy), device=device)


def graph_module(graph: str, model: nn.Module, policy: PolicyConfig) -> nn.Module:
    """One of a bundle's networks over the model that holds its weights."""
    if graph == "planner":
        return PlannerGraph(model)
    if graph == "sampler":
        return SamplerGraph(model.denoiser, make_fusable(policy))
    return policy_graphs(model)[graph]


def _tuple(outputs: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
