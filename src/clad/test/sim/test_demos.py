"""Collecting demonstrations end to end: killed in the middle, resumed, complete; no process stays behind."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from clad.cli.main import main
from clad.data.libero_hdf5 import parts_folder, read_episodes
from clad.errors import CladError, UsageError
from clad.sim import scene, suites
from clad.sim.demo_files import Attempt, DemoFile, check_disk
from clad.sim.demos import Job, _next, collect, tasks_with_expert
from clad.sim.expert.tasks import EXPERTS


def job(out, **changes) -> Job:
    return Job(**{"suite": "libero_10", "task": 5, "per_task": 2, "out": out, "visuals": "fast"} | changes)


def test_bad_requests_are_refused_before_any_work(tmp_path, capsys):
    with pytest.raises(UsageError, match="no scripted expert"):
        collect([job(tmp_path), job(tmp_path, task=9, suite="libero_goal")])
    with pytest.raises(UsageError, match="no scripted expert"):
        tasks_with_expert("libero_90")
    with pytest.raises(UsageError, match="1000"):
        collect([job(tmp_path, first_seed=5)])
    with pytest.raises(CladError, match="GB needed"):
        collect([job(tmp_path, per_task=10**7)])
    assert not list(tmp_path.rglob("*.hdf5"))
    assert main(["demos", "--task", "0,x"]) == 2
    assert "'x' is not an integer" in capsys.readouterr().err


def test_the_estimate_is_of_all_files_together(tmp_path, capsys):
    one, two = DemoFile(job(tmp_path, per_task=100)), DemoFile(job(tmp_path, per_task=100, task=0))
    assert 0.5e9 < one.bytes_to_come < 2e9
    check_disk([one, two])
    assert (
        f"up to {3 * one.bytes_to_come / 1e9:.1f} GB" in capsys.readouterr().err
    )  # two files, and one twice while packed
    one.have = 100
    assert one.bytes_to_come == 0


def test_tasks_grow_in_turns_and_failures_do_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr("clad.data.libero_hdf5.link_part", lambda *_, **__: None)
    files = [DemoFile(job(tmp_path, task=task, per_task=15)) for task in (5, 0)]
    order, running = [], []
    while (file := _next(files)) or running:
        if file and len(running) < 2:
            running.append((file, file.take_seed()))
            continue
        file, seed = running.pop(0)
        attempt = Attempt(seed=seed, success=seed != 1003, reason="", steps=100, wall_s=1.0, part="x")
        if file.add(attempt):
            order.append(file.job.task)
    assert [order.count(5), order.count(0)] == [15, 15]
    assert order[:9] == [5] * 9 and set(order[11:19]) == {0} and set(order[21:24]) == {5}
    again = DemoFile(files[0].job)
    assert (
        len(again.attempts) == 16 and again.take_seed() == 1000
    )  # 1003 failed and is not tried again; no file, no success
    assert [again.take_seed() for _ in range(3)] == [1001, 1002, 1004]


def test_an_expert_that_mostly_fails_is_given_up(tmp_path):
    file = DemoFile(job(tmp_path, per_task=100))
    for seed in range(1000, 1021):
        assert file.wants
        file.take_seed()
        file.add(Attempt(seed=seed, success=False, reason="step limit", steps=520, wall_s=1.0))
    assert file.hopeless and not file.wants


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize(("suite", "task"), [(suite, task) for suite, known in EXPERTS.items() for task in known])
def test_demonstrated_scenes_are_no_evaluation_scenes(suite, task):
    """By hash over where robot and objects are, before anything settles: of 3 sampled scenes and all evaluation states."""
    from clad.sim.libero_env import LiberoEnv

    states = suites.init_states(suite, task)
    with LiberoEnv(suite, task, visuals="fast") as env:
        positions = slice(1, 1 + env.model.nq)

        def objects(state: np.ndarray) -> bytes:
            return hashlib.sha256(np.ascontiguousarray(state[positions])).digest()

        evaluation = {objects(state) for state in states}
        scene.load_exact(env.upstream, 0, states[7])
        assert objects(env.state()) in evaluation  # the hash does find an evaluation scene
        for seed in (1000, 1001, 1002):
            scene.load_exact(env.upstream, seed, None)
            sampled = env.state()
            assert objects(sampled) not in evaluation
            assert np.abs(states[:, positions] - sampled[positions]).max(axis=1).min() > 1e-3


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_and_resumed(tmp_path):
    """Two tasks, killed when the first demonstration is there: the rest is added, nothing lost or repeated."""
    arguments = "demos --task 5,0 --per-task 2 --workers 2 --visuals fast --out".split() + [str(tmp_path)]
    command = [sys.executable, "-m", "clad", *arguments, "--json", str(tmp_path / "s.json")]
    book, soup = job(tmp_path), job(tmp_path, task=0)
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 100
    while not list(parts_folder(book.path).glob("[!.]*.hdf5")) and time.monotonic() < deadline:
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    deadline = time.monotonic() + 20
    while _alive_in_group(first.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _alive_in_group(first.pid)
    assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
    for wanted in (book, soup):
        episodes = list(read_episodes(wanted.path))
        assert sorted(e.meta["seed"] for e in episodes) == [1000, 1001]
        assert {e.meta["task"] for e in episodes} == {wanted.task}
        assert not parts_folder(wanted.path).exists()
        for episode in episodes:
            assert episode.images["wrist"].shape == (len(episode), 128, 128, 3) and episode.images["wrist"].std() > 10
            assert np.abs(episode.joint_velocity).max() > 0.1
    assert [t["failures_n"] for t in json.loads((tmp_path / "s.json").read_text())["tasks"]] == [0, 0]


def _alive_in_group(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
