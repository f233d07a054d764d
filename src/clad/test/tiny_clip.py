"""A CLIP of a few thousand numbers (and its full vocabulary), with weights that are a function of their names alone."""

from __future__ import annotations

import numpy as np
import torch

from clad.encoders.clip import Clip, ClipConfig

TINY = ClipConfig(
    embedding=24,
    image_size=64,
    vision_layers=(1, 2, 1, 1),
    vision_width=4,
    context=20,
    text_width=64,
    text_layers=2,
)


def tiny_state(config: ClipConfig = TINY) -> dict[str, torch.Tensor]:
    """A state dict of published names, float32; statistics and scales are far from those of a fresh network."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in Clip(config).state_dict().items()}
    return {name: torch.from_numpy(_weights(name, tuple(shape))) for name, shape in shapes.items()}


def tiny_clip() -> Clip:
    """The module with `tiny_state`."""
    clip = Clip(TINY).eval()
    clip.load_state_dict(tiny_state())
    return clip


def _weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(list(name.encode()))
    noise = rng.standard_normal(shape, dtype=np.float32)
    if name.endswith("running_var"):
        return np.asarray(0.5 + np.abs(noise), dtype=np.float32)
    if "bn" in name or "ln_" in name or ".downsample.1." in name:
        return np.asarray((1 if name.endswith("weight") else 0) + 0.2 * noise, dtype=np.float32)
    if len(shape) < 2 or "embedding" in name:
        return np.asarray(0.1 * noise, dtype=np.float32)
    return np.asarray(noise / np.sqrt(np.prod(shape[1:])), dtype=np.float32)
