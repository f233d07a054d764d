"""What every export shares: one torch module to one self-contained ONNX file, and how far the two are apart."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch

from clad.errors import CladError

OPSET = 20  # torch 2.13 writes invalid files at 17; everything from 18 works
MAX_PARITY = 1e-5
MAX_INLINE_BYTES = 512 << 20  # of weights inside the .onnx file


def write_graph(
    module: torch.nn.Module,
    example: Sequence[torch.Tensor],
    path: Path,
    *,
    inputs: Mapping[str, Mapping[int, str]],
    outputs: Sequence[str],
) -> list[str]:
    """Export `module` in eval mode; returns the names of the files written.

    inputs: name -> {axis: dynamic dimension's name}, in the order of forward(). A dynamic axis must
    be at least 2 long in `example`: torch specialises on 0 and 1.
    """
    dims: dict[str, torch.export.Dim] = {}
    shapes = [{axis: dims.setdefault(n, torch.export.Dim(n)) for axis, n in axes.items()} for axes in inputs.values()]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module.eval(),
            tuple(example),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(shapes),
            external_data=False,
            verbose=False,
        )
    model = program.model_proto
    strip_provenance(model)
    return save_graph(model, path)


def save_graph(model: onnx.ModelProto, path: Path) -> list[str]:
    """Write a checked network, its weights beside it in `NAME.data` when they are large. Returns the files' names.

    ONNX's own format ends at 2 GiB a file, and a large one is copied whole each time that it is read.
    """
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)  # onnx appends to a file that is there
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > MAX_INLINE_BYTES:
        onnx.save_model(model, path, save_as_external_data=True, location=data.name, size_threshold=1024)
    else:
        path.write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path))
    return [f.name for f in (path, data) if f.is_file()]


def strip_provenance(model: onnx.ModelProto) -> None:
    """Drop the exporter's stack traces: they hold this machine's paths and would make equal exports differ."""

    def strip(graph: onnx.GraphProto | onnx.FunctionProto) -> None:
        for item in (graph, *graph.node, *graph.value_info):
            item.ClearField("doc_string")
            if "metadata_props" in item.DESCRIPTOR.fields_by_name:
                item.ClearField("metadata_props")
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    strip(attribute.g)

    model.ClearField("metadata_props")
    model.ClearField("doc_string")
    for function in model.functions:
        strip(function)
    strip(model.graph)
    for item in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")


def relative_error(value: np.ndarray, reference: np.ndarray) -> float:
    """Largest absolute difference, relative to the reference's largest value where that exceeds 1."""
    return float(np.abs(value - reference).max() / max(1.0, np.abs(reference).max()))


def require_parity(name: str, error: float, limit: float = MAX_PARITY, *, reference: str = "torch") -> None:
    """Raise CladError when an exported graph strays from the `reference` that it came from."""
    if not error <= limit:
        raise CladError(
            f"the exported {name} differs from {reference} by {error:.1e}, more than {limit:.0e}",
            "Leave that file out, or check the versions of torch, onnx and onnxruntime against requirements/",
        )


def sha256_of(path: Path) -> str:
    """A file's checksum, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
