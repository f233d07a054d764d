"""`graph`: nodes over real DDS. `tiny_model`: a whole model in a few kilobytes. `foresight`: one that suits it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from clad.runtime.types import Foresight
from clad_ros.testing import graph  # noqa: F401

sys.path.insert(0, str(Path(__file__).parents[2] / "clad" / "test"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    from tiny_bundle import write_tiny_models

    return write_tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def foresight() -> Foresight:
    rng = np.random.default_rng(0)
    array = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    return Foresight(
        step=0, seed=11, instruction="put", proprio_foresight=array(2, 3), semantic_foresight=array(2, 3),
        semantic_embedding=array(20), instruction_embedding=array(5), proprio=array(23), proprio_predicted=array(23),
        proprio_measured=array(23), semantic_predicted=array(20),
        encode_latency=0.0, plan_latency=0.01,
    )  # fmt: skip
