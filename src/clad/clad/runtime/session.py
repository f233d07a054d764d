"""Sessions that run where they were asked to run, or not at all: ONNX Runtime's, and torch's behind the same protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import onnxruntime as ort

from clad.errors import CladError, UsageError, unknown_name
from clad.runtime.catalogue import PRECISIONS, graph_file

if TYPE_CHECKING:
    from clad.runtime.bundle import ModelBundle

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
# torch computes the networks of a model; its encoder is ONNX Runtime's in any case, on the same device
TORCH_PROVIDERS = {"torch": "cpu", "torch-cuda": "cuda"}
_REMEDY = "Install onnxruntime-gpu instead of onnxruntime, with a driver it supports, or ask for provider cpu"


class Input(Protocol):
    """One input of a network. shape: the batch first, which is symbolic."""

    name: str
    shape: Sequence[int | str]


class Output(Protocol):
    """One output of a network."""

    name: str


class Session(Protocol):
    """A network that is ready to run. onnxruntime.InferenceSession is one, runtime/torch_session.py has the other."""

    def run(self, outputs: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The named outputs for these inputs, which are all of the network's."""

    def get_inputs(self) -> Sequence[Input]:
        """Every input, in no particular order."""

    def get_outputs(self) -> Sequence[Output]:
        """Every output, in no particular order."""


def open_graph(
    bundle: ModelBundle, graph: str, *, provider: str = "cpu", threads: int = 1, precision: str = "fp32"
) -> Session:
    """A session over one of the bundle's networks: 'planner', 'condition', 'denoiser' or 'sampler'.

    provider: as of `open_session`, or 'torch' (eager, CPU) and 'torch-cuda' (CUDA graphs), which need the weights that
    `clad export --torch-weights` writes. Raises UsageError for an unknown provider or precision, CladError when the
    bundle has no such file or the provider does not start.
    """
    if provider not in {**PROVIDERS, **TORCH_PROVIDERS}:
        raise unknown_name("provider", provider, {**PROVIDERS, **TORCH_PROVIDERS})
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    if provider in TORCH_PROVIDERS:
        if precision != "fp32":
            raise UsageError(f"provider '{provider}' computes in fp32, not {precision}", "Leave the precision out")
        from clad.runtime.torch_session import open_torch_session

        return open_torch_session(bundle, graph, device=TORCH_PROVIDERS[provider], threads=threads)
    file = graph_file(graph, precision)
    if file not in bundle.files:
        options = [f"--precision {precision}"] * (precision != "fp32") + ["--fused"] * (graph == "sampler")
        raise CladError(
            f"model '{bundle.name}' has no {file}",
            f"Add it: clad export --from {bundle.path} --name {bundle.name} {' '.join(options)}",
        )
    return open_session(bundle.path / file, provider, threads)


def open_session(path: str | Path, provider: str = "cpu", threads: int = 1) -> ort.InferenceSession:
    """A session over the ONNX file on exactly this provider ('cpu', 'cuda' or 'tensorrt').

    ONNX Runtime falls back to the CPU in silence when a provider is missing or fails to start; here that is a
    CladError. `threads` is the number of threads inside one operator. Raises UsageError for an unknown provider.
    """
    if provider not in PROVIDERS:
        raise unknown_name("provider", provider, PROVIDERS)
    wanted = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise CladError(f"provider '{provider}' is not in this ONNX Runtime ({ort.__version__})", _REMEDY)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors: warnings about a fallback become the CladError below
    # a spinning thread starves the other processes of a small machine
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), options, providers=[wanted])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise CladError(f"{path} cannot be loaded: {str(error).splitlines()[0]}", "Export or fetch it again") from error
    if session.get_providers()[0] != wanted:
        raise CladError(
            f"provider '{provider}' did not start; {Path(path).name} would run on {session.get_providers()[0]}", _REMEDY
        )
    return session
