"""Collecting demonstrations end to end: killed in the middle, resumed, complete; no process stays behind."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from clad.data.libero_hdf5 import parts_folder, read_episodes
from clad.errors import CladError, UsageError
from clad.sim.demos import Job, collect, estimate_bytes


def job(out, **changes) -> Job:
    return Job(**{"suite": "libero_10", "task": 5, "per_task": 2, "out": out, "visuals": "fast"} | changes)


def test_bad_requests_are_refused_before_any_work(tmp_path):
    with pytest.raises(UsageError, match="no scripted expert"):
        collect(job(tmp_path, task=9, suite="libero_goal"))
    with pytest.raises(UsageError, match="1000"):
        collect(job(tmp_path, first_seed=5))
    with pytest.raises(CladError, match="GB needed"):
        collect(job(tmp_path, per_task=10**7))
    assert estimate_bytes(job(tmp_path), 150) < 10e9


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_and_resumed(tmp_path):
    arguments = "demos --per-task 2 --visuals fast --out".split() + [str(tmp_path), "--json", str(tmp_path / "s.json")]
    command = [sys.executable, "-m", "clad", *arguments]
    wanted = job(tmp_path)
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 100
    while not list(parts_folder(wanted.path).glob("[!.]*.hdf5")) and time.monotonic() < deadline:
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    deadline = time.monotonic() + 20
    while _alive_in_group(first.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _alive_in_group(first.pid)
    assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
    episodes = list(read_episodes(wanted.path))
    assert sorted(e.meta["seed"] for e in episodes) == [1000, 1001]
    assert not parts_folder(wanted.path).exists()
    for episode in episodes:
        assert episode.images["wrist"].shape == (len(episode), 128, 128, 3) and episode.images["wrist"].std() > 10
        assert np.abs(episode.joint_velocity).max() > 0.1
    assert json.loads((tmp_path / "s.json").read_text())["failures_n"] == 0


def _alive_in_group(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
