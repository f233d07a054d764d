"""The checks that `clad doctor` makes of the ROS installation, on the real one."""

from __future__ import annotations

import re

import pytest

from clad.cli import doctor
from clad.errors import CladError
from clad_ros import checks


def test_the_doctor_makes_them():
    assert "ActionChunk" in doctor.CHECKS["interfaces"]()


def test_messages_cross_between_processes():
    assert re.match(r"a message crossed after \d", checks.discovery())


def test_a_middleware_that_is_not_there_is_a_fault_with_a_remedy(monkeypatch):
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_absent_cpp")
    with pytest.raises(CladError, match="rmw_absent_cpp") as error:
        checks.discovery()
    assert "ROS_DOMAIN_ID" in error.value.remedy
