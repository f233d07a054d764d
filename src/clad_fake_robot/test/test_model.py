"""The model that comes with the fake robot, through the whole graph in real time."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_clad_robot_without_arguments_picks_blocks_up(tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "clad", "robot", "--episodes", "3", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((out / "result.json").read_text())
    assert result["model"]["name"] == "clad-fake-reach"
    outcomes = [row["outcome"] for row in result["episodes"]]
    assert len(outcomes) == 3 and "success" in outcomes, outcomes  # how often, on a machine with time: its card
    assert len({row["scene_hash"] for row in result["episodes"]}) == 3  # the block lay elsewhere each time
