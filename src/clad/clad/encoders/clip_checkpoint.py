"""A CLIP or DecisionNCE checkpoint to the module: every tensor used, none left over, and nothing in the file is run."""

from __future__ import annotations

import argparse
import hashlib
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from clad.encoders.clip import HEAD_DIM, STRIDE, Clip, ClipConfig
from clad.errors import CladError

State = dict[str, torch.Tensor]

# OpenAI published RN50 as a TorchScript archive. Opening one runs what it brings along, so only this file is opened.
TRUSTED_ARCHIVES = {"afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762": "OpenAI RN50.pt"}
# What those files hold beside the weights: three constants of that archive, and counters that only training uses.
NOT_WEIGHTS = re.compile(r"(input_resolution|context_length|vocab_size|.*\.num_batches_tracked)")
REMEDY = "Take OpenAI-CLIP RN50 or a DecisionNCE checkpoint (docs/encoders.md)"


def load_clip(path: Path) -> Clip:
    """The module with a checkpoint's weights, in float32.

    Raises CladError when the file cannot be read safely, or a tensor is missing, left over, of another shape or not
    finite: it names the first of them.
    """
    state = weights_of(read_checkpoint(path), path)
    with torch.device("meta"):
        model = Clip(config_of(state, path))
    expected = model.state_dict()
    for what, names in (
        ("lacks", [n for n in expected if n not in state]),
        ("has an unknown", [n for n in state if n not in expected]),
    ):
        if names:
            raise CladError(f"{path} {what} tensor '{names[0]}' ({len(names)} such)", REMEDY)
    for name, value in state.items():
        if value.shape != expected[name].shape:
            raise CladError(f"{path}: '{name}' is {_shape(value)}, not {_shape(expected[name])}", REMEDY)
        if not value.isfinite().all():
            raise CladError(f"{path}: '{name}' has values that are not finite", "The file is damaged: fetch it again")
    model.load_state_dict(state, assign=True)
    return model.requires_grad_(False).eval()


def read_checkpoint(path: Path) -> Any:
    """What a .safetensors or .pt file holds; torch's own format is read without running code from it."""
    if not path.is_file():
        raise CladError(f"checkpoint {path} does not exist", REMEDY)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if _is_torchscript(path):
            return _read_archive(path)
        # DecisionNCE's training script keeps its command line's Namespace, plain data, in the file.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except CladError:
        raise
    except Exception as error:  # a damaged file raises whatever the byte at hand leads to
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CladError(
            f"checkpoint {path} cannot be read: {reason}",
            "Fetch it again, or convert it to .safetensors where it came from (docs/encoders.md)",
        ) from error


def weights_of(content: Any, path: Path) -> State:
    """The state dict under its published names, float32: unwrapped from `model`, without the prefix `model.`."""
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not content or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise CladError(f"{path} holds no state dict", REMEDY)
    if all(name.startswith("model.") for name in content):
        content = {name.removeprefix("model."): value for name, value in content.items()}
    return {name: value.float() for name, value in content.items() if not NOT_WEIGHTS.fullmatch(name)}


def config_of(state: State, path: Path) -> ClipConfig:
    """The sizes that a state dict's shapes tell. Raises CladError naming the tensor that would have told."""
    if "visual.class_embedding" in state:
        raise CladError(f"{path} is a CLIP with a vision transformer, not a ResNet", REMEDY)

    def shape(name: str, dims: int) -> torch.Size:
        if name not in state:
            raise CladError(f"{path} lacks tensor '{name}', so it is no CLIP with a ResNet", REMEDY)
        if state[name].ndim != dims:
            raise CladError(f"{path}: '{name}' is {_shape(state[name])}, not of {dims} dimensions", REMEDY)
        return state[name].shape

    cells = shape("visual.attnpool.positional_embedding", 2)[0] - 1
    vocabulary, text_width = shape("token_embedding.weight", 2)
    if text_width % HEAD_DIM:
        raise CladError(f"{path}: a text width of {text_width} is no multiple of {HEAD_DIM}, so it is no CLIP", REMEDY)
    return ClipConfig(
        embedding=shape("text_projection", 2)[1],
        image_size=STRIDE * round(cells**0.5),
        vision_layers=tuple(_blocks(state, rf"visual\.layer{i}\.(\d+)\.") for i in (1, 2, 3, 4)),
        vision_width=shape("visual.conv3.weight", 4)[0],
        context=shape("positional_embedding", 2)[0],
        vocabulary=vocabulary,
        text_width=text_width,
        text_layers=_blocks(state, r"transformer\.resblocks\.(\d+)\."),
    )


def _blocks(state: State, pattern: str) -> int:
    """How many numbered blocks there are; at least one, so that a tower without any lacks a tensor by name."""
    found = (re.match(pattern, name) for name in state)
    return max(1, len({match[1] for match in found if match}))


def _is_torchscript(path: Path) -> bool:
    """TorchScript archives are zip files with code or constants of their own."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(re.fullmatch(r"[^/]+/constants\.pkl", name) for name in archive.namelist())


def _read_archive(path: Path) -> State:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest not in TRUSTED_ARCHIVES:
        raise CladError(
            f"{path} is a TorchScript archive ({digest[:12]}), which is a program, and not {_known()}",
            "Fetch it again, or convert its state dict to .safetensors (docs/encoders.md)",
        )
    return torch.jit.load(path, map_location="cpu").state_dict()


def _known() -> str:
    return " or ".join(f"{name} ({digest[:12]})" for digest, name in TRUSTED_ARCHIVES.items())


def _shape(value: torch.Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a number"
