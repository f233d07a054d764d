"""`tiny_model`: a whole model for the loopback robot in a few kilobytes. `domain`: rclpy in a ROS domain of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import rclpy

from clad_ros.domain import own_domain

sys.path.insert(0, str(Path(__file__).parents[2] / "clad" / "test"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    from tiny_bundle import write_tiny_models

    return write_tiny_models(tmp_path_factory.mktemp("models"), robot="fake")


@pytest.fixture
def domain():
    with own_domain() as number:
        rclpy.init(domain_id=number)
        try:
            yield number
        finally:
            rclpy.try_shutdown()
