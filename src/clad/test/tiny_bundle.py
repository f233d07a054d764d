"""A complete model bundle and encoder in a few kilobytes: the real file formats, with random linear maps for networks.

`write_tiny_models(directory)` makes `directory/tiny` and `directory/encoder-tiny`, which load, plan and act in
milliseconds through the same code as a trained model. Every input of every graph has an effect on its outputs, so that
a test can tell when one is fed wrongly.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from clad.contract import load_contract, proprio_dim

OPSET = 20
HORIZON, EXECUTE_STEPS, ACTIONS = 6, 3, 7
CAMERAS, FEATURES = ("agentview", "wrist"), ("keypoints", "pooled")
DIMS = {"keypoints": 6, "pooled": 4}
TEXT, TOKENS, WIDTH, CONDITION = 5, 2, 3, 8
VARIANT = "joint16_ee7"
PROPRIO = proprio_dim(VARIANT)
VISUAL = len(CAMERAS) * sum(DIMS.values())
WORDS = ("[UNK]", "put", "the", "book", "in", "back", "bowl", "up", "warm", "pick")


def write_tiny_models(directory: Path, *, seed: int = 0, **changes) -> Path:
    """Write encoder and bundle; `robot` and `changes` as in write_tiny_bundle. Returns the bundle's directory."""
    encoder = write_tiny_encoder(directory / "encoder-tiny", seed=seed)
    return write_tiny_bundle(directory / "tiny", encoder, seed=seed, **changes)


def write_tiny_encoder(path: Path, *, seed: int = 0) -> dict:
    """An encoder directory; features are linear in the image's quadrant means. Returns its encoder.json."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    path.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=T.FLOAT),
        helper.make_node("Transpose", ["float"], ["chw"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["chw"], ["quadrants"], kernel_shape=[64, 64], strides=[64, 64]),
        helper.make_node("Flatten", ["quadrants"], ["flat"]),
        *(helper.make_node("MatMul", ["flat", f"w_{n}"], [n]) for n in FEATURES),
    ]
    weights = {f"w_{n}": rng.standard_normal((12, d)).astype(np.float32) / 100 for n, d in DIMS.items()}
    _save(
        path / "vision.onnx",
        nodes,
        weights,
        {"images": (T.UINT8, ["B", "H", "W", 3])},
        {n: (T.FLOAT, ["B", d]) for n, d in DIMS.items()},
    )
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["words"]),
        helper.make_node("ReduceMean", ["words", "axis"], ["sentence"], keepdims=0),
    ]
    weights = {"table": rng.standard_normal((len(WORDS), TEXT)).astype(np.float32), "axis": np.array([1])}
    _save(path / "text.onnx", nodes, weights, {"tokens": (T.INT64, ["B", "L"])}, {"sentence": (T.FLOAT, ["B", TEXT])})
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path / "tokenizer.json"))
    files = _checksums(path)
    body = {
        "schema": 1,
        "name": "tiny",
        "sha256": hashlib.sha256("".join(files[n] for n in sorted(files)).encode()).hexdigest(),
        "vision": {"input": "images", "outputs": DIMS},
        "text": {"dim": TEXT, "max_tokens": 32},
        "files": files,
    }
    (path / "encoder.json").write_text(json.dumps(body))
    return body


def write_tiny_bundle(
    path: Path,
    encoder: dict,
    *,
    seed: int = 0,
    planner: bool = True,
    reads_scene: bool = True,
    robot: str = "libero",
    **changes,
) -> Path:
    """A bundle directory for `encoder` and a shipped robot. planner=False makes the policy-only variant.

    reads_scene=False leaves out the planner's last output, as in bundles that were exported before there was one.
    `changes` replace fields of model.json.
    """
    path.mkdir(parents=True)
    rng = np.random.default_rng(seed + 5)
    contract = load_contract(robot)
    variant = VARIANT if len(contract.joint_names) == 7 else "arm6_ee7"
    proprio = proprio_dim(variant)
    state = {"proprio": proprio, "visual": VISUAL, "text": TEXT}
    past = {"proprio_past": proprio, "visual_past": VISUAL, **state, "actions": (HORIZON, ACTIONS)}
    tokens = {"proprio_foresight": (TOKENS, WIDTH), "semantic_foresight": (TOKENS, WIDTH)}
    if planner:
        scene = {"semantic_predicted": VISUAL} if reads_scene else {}
        _linear(path / "planner.onnx", past, {**tokens, "proprio_predicted": proprio, **scene}, rng)
    _linear(path / "condition.onnx", {**state, **(tokens if planner else {})}, {"condition": CONDITION}, rng)
    _linear(
        path / "denoiser.onnx",
        {"condition": CONDITION, "noisy": (HORIZON, ACTIONS), "timestep": ()},
        {"prediction": (HORIZON, ACTIONS)},
        rng,
    )
    body = {
        "schema": 1,
        "name": path.name,
        "created": "2026-01-01T00:00:00+00:00",
        "config": {"planner": {}, "policy": {}},
        "contract": {"name": contract.name, "hash": contract.hash},
        "encoder": {"name": encoder["name"], "sha256": encoder["sha256"]},
        "proprio_variant": variant,
        "cameras": list(CAMERAS),
        "features": list(FEATURES),
        "horizon": HORIZON,
        "execute_steps": EXECUTE_STEPS,
        "normalisers": {
            "proprio": {"mean": [0.1] * proprio, "std": [0.5] * proprio, "clip": 5.0},
            "visual": {"mean": [0.2] * VISUAL, "std": [2.0] * VISUAL, "clip": 4.0},
            "action": {"low": [-0.8] * 6 + [-1.0], "high": [0.6] * 6 + [1.0]},
        },
        "diffusion": {
            "train_steps": 100,
            "schedule": "squaredcos_cap_v2",
            "prediction": "sample",
            "sampler": "ddim",
            "sample_steps": 10,
        },
        "tasks": [{"suite": "libero_10", "task": 5, "instruction": "pick up the book"}],
        "files": _checksums(path),
        "opset": OPSET,
        "parity": {"planner": 0.0, "condition": 0.0, "denoiser": 0.0},
        "blind": False,
        **changes,
    }
    (path / "model.json").write_text(json.dumps(body))
    return path


def _linear(path: Path, inputs: dict, outputs: dict, rng: np.random.Generator) -> None:
    """A graph: every output is tanh of a random linear map of all inputs, flattened and concatenated."""
    shapes = {n: (d,) if isinstance(d, int) else tuple(d) for n, d in {**inputs, **outputs}.items()}
    nodes, flat, weights, total = [], [], {}, 0
    for n in inputs:
        source = n
        if n == "timestep":
            nodes += [
                helper.make_node("Cast", [n], ["t_float"], to=T.FLOAT),
                helper.make_node("Div", ["t_float", "hundred"], ["t_small"]),
            ]
            weights["hundred"] = np.array(100.0, dtype=np.float32)
            source = "t_small"
        size = int(np.prod(shapes[n]))
        weights[f"s_{n}"] = np.array([-1, size])
        nodes.append(helper.make_node("Reshape", [source, f"s_{n}"], [f"f_{n}"]))
        flat.append(f"f_{n}")
        total += size
    nodes.append(helper.make_node("Concat", flat, ["all"], axis=1))
    for n in outputs:
        size = int(np.prod(shapes[n]))
        weights[f"w_{n}"] = (rng.standard_normal((total, size)) / np.sqrt(total)).astype(np.float32)
        weights[f"o_{n}"] = np.array([-1, *shapes[n]])
        nodes += [
            helper.make_node("MatMul", ["all", f"w_{n}"], [f"m_{n}"]),
            helper.make_node("Tanh", [f"m_{n}"], [f"h_{n}"]),
            helper.make_node("Reshape", [f"h_{n}", f"o_{n}"], [n]),
        ]
    types = {n: T.INT64 if n == "timestep" else T.FLOAT for n in shapes}
    _save(
        path,
        nodes,
        weights,
        {n: (types[n], ["B", *shapes[n]]) for n in inputs},
        {n: (types[n], ["B", *shapes[n]]) for n in outputs},
    )


def _save(path: Path, nodes: list, weights: dict, inputs: dict, outputs: dict) -> None:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(n, t, shape) for n, (t, shape) in inputs.items()],
        [helper.make_tensor_value_info(n, t, shape) for n, (t, shape) in outputs.items()],
        [numpy_helper.from_array(np.asarray(w), n) for n, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _checksums(path: Path) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(path.iterdir())}
