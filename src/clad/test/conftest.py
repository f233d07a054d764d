"""Fixtures for all tests of the library. `tiny_models`: a whole model in a few kilobytes (see tiny_bundle.py)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # test helpers are plain modules beside this file

from tiny_bundle import write_tiny_models  # noqa: E402

from clad.contract import Observation, load_contract  # noqa: E402

# no deadline: other work shares the machine. No database: tests leave nothing in the checkout.
settings.register_profile("clad", deadline=None, database=None)
settings.load_profile("clad")


@pytest.fixture(scope="session")
def contract():
    return load_contract("libero")


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory) -> Path:
    """A directory with the bundle `tiny` and its encoder; shared, so copy it before changing anything."""
    directory = tmp_path_factory.mktemp("models")
    write_tiny_models(directory)
    return directory


@pytest.fixture
def make_observation():
    """`make_observation(step, seed=0)`: a random, valid observation of the LIBERO robot."""

    def make(step: int, seed: int = 0) -> Observation:
        rng = np.random.default_rng([seed, step])
        quaternion = rng.standard_normal(4)
        return Observation(
            step=step,
            images={c: rng.integers(0, 256, (128, 128, 3), dtype=np.uint8) for c in ("agentview", "wrist")},
            joint_position=rng.uniform(-1, 1, 7),
            joint_velocity=rng.uniform(-1, 1, 7),
            gripper_position=rng.uniform(0, 0.04, 2),
            ee_position=rng.uniform(-1, 1, 3),
            ee_quaternion=quaternion / np.linalg.norm(quaternion),
        )

    return make
