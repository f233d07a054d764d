"""Ctrl-C in mid-episode: the bag is closed and readable, no process is left, and --resume goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import psutil
import pytest

from clad_recorder.bag import is_complete, read_messages, read_metadata
from clad_ros import topics

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_an_interrupted_run_leaves_a_readable_bag_and_goes_on(tiny_model, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "ROS_DOMAIN_ID"}
    command = ["clad", "sim", "--model", str(tiny_model), "--out", str(tmp_path), "--visuals", "fast"]
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    bag = tmp_path / "bags" / "libero_10-5-0-0"
    deadline = time.monotonic() + 300
    while not (bag.is_dir() and any(m.topic == topics.EXECUTED_ACTION for m in read_messages(bag))):
        assert first.poll() is None, first.stdout.read()
        assert time.monotonic() < deadline, "no action was recorded"
        time.sleep(0.5)  # between looks at a condition
    children = psutil.Process(first.pid).children(recursive=True)
    assert len(children) == 5
    first.send_signal(signal.SIGINT)
    output, _ = first.communicate(timeout=60)
    assert first.returncode == 130, output
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert is_complete(bag) and read_metadata(bag)["suite"] == "libero_10"

    again = subprocess.run([*command, "--resume", "--max-steps", "3"], env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    (row,) = json.loads((tmp_path / "result.json").read_text())["episodes"]
    assert row["outcome"] == "timeout" and row["bag"] == "bags/libero_10-5-0-0-2"
