"""Further files of a bundle, made from its fp32 graphs without any training run: int8, fp16, and the fused sampler.

`GRAPH.int8.onnx` and `GRAPH.fp16.onnx` stand beside `GRAPH.onnx`, with the same float32 inputs and outputs;
`sampler.onnx` is condition and noise to chunk, all DDIM steps unrolled over one copy of the denoiser's weights.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from clad.export.card import with_variants
from clad.export.graph import MAX_PARITY, relative_error, require_parity, save_graph, strip_provenance
from clad.runtime.bundle import ModelBundle, load_bundle, sha256_file
from clad.runtime.catalogue import SIDECAR, graph_file
from clad.runtime.ddim import Ddim
from clad.runtime.probe import sample, seeded_feed
from clad.runtime.samplers import make_fusable
from clad.runtime.session import open_session

BATCHES = (1, 2, 5)  # parity is measured at each; the graphs were traced with 2
GRAPHS = ("planner", "condition", "denoiser")
DERIVED_PRECISIONS = ("int8", "fp16")
# largest error that is let through, relative to the largest value of the fp32 result
LIMITS = {"fp32": MAX_PARITY, "fp16": 1e-2, "int8": 1e-1}
# Arguments of these reach hundreds of radians, where float16 steps by half a radian.
FP32_OPERATORS = ("Sin", "Cos")


def derive_bundle(
    source: ModelBundle, name: str, out: Path, *, precisions: Sequence[str] = (), fused: bool = False
) -> ModelBundle:
    """Copy `source` to `out/name` and add its networks in other precisions and, if asked, the sampler in each.

    `out/name` may be the source itself; it is replaced once the new bundle is complete and every file's parity is
    measured. model.json changes with it, so the model gets another id. Raises CladError when a file strays too far.
    """
    ddim = make_fusable(source.diffusion) if fused else None
    final, directory = out / name, out / f".{name}.{os.getpid()}"
    directory.mkdir(parents=True)
    try:
        for file in (SIDECAR, "README.md", *source.files):
            if (source.path / file).is_file():
                shutil.copyfile(source.path / file, directory / file)
        body = json.loads((directory / SIDECAR).read_text())
        written = []
        for precision in precisions:
            for graph in (g for g in GRAPHS if graph_file(g) in source.files):
                written += _write_precision(directory, graph, precision)
        if fused:
            denoisers = [graph_file("denoiser", p) for p in ("fp32", *DERIVED_PRECISIONS)]
            for denoiser in (d for d in denoisers if (directory / d).is_file()):
                model = fuse_sampler(onnx.load(directory / denoiser), ddim)
                written += save_graph(model, directory / denoiser.replace("denoiser", "sampler"))
        body |= {"name": name, "created": datetime.now(timezone.utc).isoformat(timespec="seconds")}
        body["files"] |= {file: sha256_file(directory / file) for file in written}
        for file in (f for f in written if f.endswith(".onnx")):
            error = measure(source, directory, file)
            require_parity(file, error, limit_of(file), reference="fp32")
            body["parity"][Path(file).stem] = error
        (directory / SIDECAR).write_text(json.dumps(body, indent=1) + "\n")
        card = directory / "README.md"
        sizes = {f: (directory / f).stat().st_size for f in body["files"]}
        card.write_text(with_variants(card.read_text() if card.is_file() else "", name, body["parity"], sizes))
        load_bundle(directory)
        if final.exists():
            shutil.rmtree(final)
        directory.rename(final)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return load_bundle(final)


def check_bundle(path: Path) -> dict[str, dict]:
    """Verify checksums, load every network and measure its parity again on this machine.

    Networks made by `derive_bundle` are compared with the fp32 ones, those with onnx's own evaluator, which is written
    in numpy and shares no code with ONNX Runtime. Returns file -> {inputs, parity}. Raises CladError for a bad bundle.
    """
    bundle = load_bundle(path)
    found = {}
    for file in (f for f in bundle.files if f.endswith(".onnx")):
        session = open_session(bundle.path / file)
        error = measure(bundle, bundle.path, file)
        require_parity(file, error, limit_of(file), reference="its reference")
        found[file] = {"inputs": [i.name for i in session.get_inputs()], "parity": error}
    return found


def limit_of(file: str) -> float:
    """The largest parity error that a file of this name may have."""
    return LIMITS[_precision(file)]


def measure(fp32: ModelBundle, directory: Path, file: str) -> float:
    """Largest relative error of `directory/file` over BATCHES of seeded inputs, against the bundle's fp32 networks."""
    graph = file.split(".")[0]
    session = open_session(directory / file)
    outputs = [o.name for o in session.get_outputs()]
    if graph == "sampler":
        denoiser, ddim = open_session(fp32.path / graph_file("denoiser")), make_fusable(fp32.diffusion)
        reference = None
    elif _precision(file) == "fp32":
        from onnx.reference import ReferenceEvaluator

        reference = ReferenceEvaluator(str(directory / file))
    else:
        reference = open_session(fp32.path / graph_file(graph))
    error = 0.0
    for batch in BATCHES:
        feed = seeded_feed(session, batch=batch, seed=batch, train_steps=fp32.diffusion.train_steps)
        expected = (
            reference.run(outputs, feed)
            if reference
            else [sample(denoiser, ddim, condition=feed["condition"], noise=feed["noise"][None])]
        )
        errors = (relative_error(v, r) for v, r in zip(session.run(outputs, feed), expected, strict=True))
        error = max(error, *errors)
    return error


def fuse_sampler(denoiser: onnx.ModelProto, ddim: Ddim) -> onnx.ModelProto:
    """condition (B, W), noise (B, tau, N) -> chunk (B, tau, N): the DDIM steps of runtime/ddim.py, operation by operation.

    The weights are shared between the steps; only the nodes are repeated.
    """
    graph = denoiser.graph
    shared = {i.name for i in graph.initializer}
    by_name = {v.name: v for v in (*graph.input, *graph.output)}
    nodes = [helper.make_node("Shape", ["noise"], ["batch"], start=0, end=1)]
    constants: dict[str, np.ndarray] = {"minus_one": np.float32(-1), "one": np.float32(1)}
    x = "noise"
    for number, step in enumerate(ddim.steps):
        here = f"step{number}/"
        values = {"signal": step.signal, "noise": step.noise, "next_signal": step.next_signal}
        values |= {"next_noise": step.next_noise, "timestep": np.array([step.timestep], dtype=np.int64)}
        constants |= {here + k: v for k, v in values.items()}
        nodes.append(helper.make_node("Expand", [here + "timestep", "batch"], [here + "timesteps"]))
        given = {"condition": "condition", "noisy": x, "timestep": here + "timesteps"}
        for node in graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = here + node.name
            copy.input[:] = [given.get(n, n if n in shared or not n else here + n) for n in node.input]
            copy.output[:] = [here + n if n else n for n in node.output]
            nodes.append(copy)
        after = "chunk" if number == len(ddim.steps) - 1 else here + "next"
        nodes += _ddim_step(here, x, here + "prediction", after, predicts_sample=ddim.predicts_sample)
        x = after
    fused = onnx.ModelProto()
    fused.CopyFrom(denoiser)
    del fused.graph.node[:], fused.graph.input[:], fused.graph.output[:], fused.graph.value_info[:]
    fused.graph.node.extend(nodes)
    for name, like, target in (
        ("condition", "condition", fused.graph.input),
        ("noise", "noisy", fused.graph.input),
        ("chunk", "prediction", fused.graph.output),
    ):
        value = target.add()
        value.CopyFrom(by_name[like])
        value.name = name
    fused.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items())
    return fused


def _ddim_step(here: str, x: str, prediction: str, after: str, *, predicts_sample: bool) -> list[onnx.NodeProto]:
    """x -> `after`, in the same operations and order as Ddim._back."""
    known, other = ("signal", "noise") if predicts_sample else ("noise", "signal")
    derived = here + "derived"
    sample_name, epsilon = (prediction, derived) if predicts_sample else (derived, prediction)
    operations = (
        ("Mul", [here + known, prediction], here + "part"),
        ("Sub", [x, here + "part"], here + "rest"),
        ("Div", [here + "rest", here + other], derived),
        ("Clip", [sample_name, "minus_one", "one"], here + "clipped"),
        ("Mul", [here + "next_signal", here + "clipped"], here + "kept"),
        ("Mul", [here + "next_noise", epsilon], here + "renoised"),
        ("Add", [here + "kept", here + "renoised"], after),
    )
    return [helper.make_node(op, inputs, [output], name=output) for op, inputs, output in operations]


def _write_precision(directory: Path, graph: str, precision: str) -> list[str]:
    source, target = directory / graph_file(graph), directory / graph_file(graph, precision)
    if precision == "fp16":
        return save_graph(_to_fp16(source), target)
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().setLevel(logging.ERROR)  # the quantizer recommends a pre-processing that changes nothing here
    # Products with weights only: int8 convolutions are slower than fp32 ones. 7-bit weights (reduce_range) cannot
    # saturate on CPUs without VNNI, so that every CPU computes the same sums.
    quantize_dynamic(
        source,
        target,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        op_types_to_quantize=["MatMul", "Gemm"],
    )
    model = onnx.load(target)
    strip_provenance(model)
    return save_graph(model, target)


def _to_fp16(source: Path) -> onnx.ModelProto:
    """Weights and arithmetic in float16, inputs and outputs in float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = onnx.load(source)
    producer = {output: node for node in model.graph.node for output in node.output}
    keep, todo = set(), [n for n in model.graph.node if n.op_type in FP32_OPERATORS]
    while todo:  # whatever leads to a sine: the phase must be exact, not just the sine
        node = todo.pop()
        keep.add(node.name)
        todo += [producer[name] for name in node.input if name in producer]
    converted = convert_float_to_float16(model, keep_io_types=True, node_block_list=sorted(keep))
    _join_kept(converted.graph, keep)
    OnnxModel.graph_topological_sort(converted.graph)  # the converter appends its casts at the end
    strip_provenance(converted)
    return converted


def _join_kept(graph: onnx.GraphProto, keep: set[str]) -> None:
    """Connect the float32 nodes of `keep` directly: the converter rounds to float16 and back between any two of them."""
    producer = {output: node for node in graph.node for output in node.output}
    exact = {}  # what a node reads -> the same, before it was rounded
    for node in graph.node:
        first = producer.get(node.input[0]) if node.op_type == "Cast" else None
        if first is not None and first.op_type == "Cast":
            source = producer.get(first.input[0])
            if source is not None and source.name in keep:
                exact[node.output[0]] = first.input[0]
    for node in (n for n in graph.node if n.name in keep):
        node.input[:] = [exact.get(name, name) for name in node.input]


def _precision(file: str) -> str:
    return next((p for p in DERIVED_PRECISIONS if file.endswith(f".{p}.onnx")), "fp32")
