"""`clad test` runs pytest with the right selection, environment and exit code."""

from __future__ import annotations

import os

import pytest

from clad.cli.main import main
from clad.cli.test import checkout, environment

TESTS = """
import os, pytest
def test_quick(): assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
@pytest.mark.slow
def test_slow(): assert False
"""


@pytest.fixture
def tests(tmp_path):
    file = tmp_path / "test_these.py"
    file.write_text(TESTS)
    return str(file)


def test_slow_tests_wait_for_all(tests, capfd):
    assert main(["test", tests]) == 0
    assert capfd.readouterr().out.splitlines()[-1].startswith("1 passed, 1 deselected")
    assert main(["test", "--all", tests]) == 1
    assert capfd.readouterr().out.splitlines()[-1].startswith("1 failed, 1 passed")


def test_pytests_own_options_pass_through(tests, capfd):
    assert main(["test", tests, "-k", "nothing_like_that"]) == 5  # pytest: no tests ran


def test_two_runs_share_no_ros_domain_and_keep_the_rest(monkeypatch):
    one = environment({"HOME": "/h", "ROS_DOMAIN_ID": "7", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"})
    monkeypatch.setattr(os, "getpid", lambda pid=os.getpid(): pid + 1)
    other = environment({})
    assert one["ROS_DOMAIN_ID"] != other["ROS_DOMAIN_ID"] and 0 < int(one["ROS_DOMAIN_ID"]) <= 101
    assert one["HOME"] == "/h" and one["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_the_checkout_has_the_continuous_integration_entry():
    script = checkout() / ".ci" / "run"
    assert os.access(script, os.X_OK) and 'clad" test' in script.read_text()
