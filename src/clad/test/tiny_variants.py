"""Exported bundles of any variant with small random networks, for the encoder that `tiny_bundle` writes."""

from __future__ import annotations

import json
from pathlib import Path

import tiny_bundle
import torch

from clad.export.sizes import random_bundle
from clad.model.config import Dims, load_config
from clad.runtime.bundle import ModelBundle, load_bundle

SMALL = [
    *("planner.width=16", "planner.hidden=32", "planner.heads=2"),
    *("policy.width=32", "policy.observation=16", "policy.blocks=1", "data.features=[keypoints,pooled]"),
]


def write_tiny_variant(directory: Path, variant: str) -> ModelBundle:
    """`directory/VARIANT`, exported by the code that exports trained models, and `directory/encoder-tiny`."""
    torch.set_num_threads(1)
    encoder = tiny_bundle.write_tiny_encoder(directory / "encoder-tiny")
    config = load_config("small", SMALL, variants=[variant])
    dims = Dims(
        proprio=tiny_bundle.PROPRIO,
        visual=len(config.data.cameras) * sum(tiny_bundle.DIMS[name] for name in config.data.features),
        text=tiny_bundle.TEXT,
        action=tiny_bundle.ACTIONS,
        horizon=config.data.horizon,
    )
    path = random_bundle(config, dims, variant, directory).path
    body = json.loads((path / "model.json").read_text())
    body["encoder"] = {"name": encoder["name"], "sha256": encoder["sha256"]}
    (path / "model.json").write_text(json.dumps(body))
    return load_bundle(path)
