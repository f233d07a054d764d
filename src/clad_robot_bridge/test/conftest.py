"""`graph`: nodes over real DDS. `tiny_model`: a whole model for the fake robot in a few kilobytes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clad_ros.testing import graph  # noqa: F401

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "clad" / "test")]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    from tiny_bundle import write_tiny_models

    return write_tiny_models(tmp_path_factory.mktemp("models"), robot="fake")
