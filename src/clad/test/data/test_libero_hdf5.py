"""LIBERO's HDF5 layout: what is written is read back, upstream's files are read, a killed writer loses nothing."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_episode import make_episode

from clad.data.episode import Episode
from clad.data.libero_hdf5 import episode_names, pack, parts_folder, read_episode, read_episodes, write_episode
from clad.errors import CladError


def append(path, episode):
    states = np.arange(len(episode) * 3.0).reshape(-1, 3)
    return write_episode(path, episode, states=states, file_attrs={"problem_info": {"a": 1}})


def assert_equal(a: Episode, b: Episode):
    for field in Episode.__dataclass_fields__:
        x, y = getattr(a, field), getattr(b, field)
        if field == "images":
            assert x.keys() == y.keys() and all(np.array_equal(x[k], y[k]) for k in x)
        elif field != "name":
            assert np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y, field


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.booleans())
def test_round_trip(tmp_path_factory, lengths, packed):
    path = tmp_path_factory.mktemp("h") / "x_demo.hdf5"
    episodes = [make_episode(n, seed=i) for i, n in enumerate(lengths)]
    assert [append(path, e) for e in episodes] == [f"demo_{i}" for i in range(len(lengths))]
    if packed:
        pack(path)
        pack(path)
        assert not parts_folder(path).exists()
    read = list(read_episodes(path))
    assert len(read) == len(episodes)
    for a, b in zip(episodes, read, strict=True):
        assert_equal(a, b)


def test_layout_is_upstreams(tmp_path):
    path = tmp_path / "x_demo.hdf5"
    episode = make_episode()
    append(path, episode)
    with h5py.File(path) as file:
        demo = file["data/demo_0"]
        assert {"actions", "states", "robot_states", "rewards", "dones", "obs"} <= set(demo)
        assert np.array_equal(demo["obs/agentview_rgb"][:], episode.images["agentview"][:, ::-1])  # bottom row first
        assert np.array_equal(demo["obs/eye_in_hand_rgb"][:], episode.images["wrist"][:, ::-1])
        assert demo["obs/ee_states"].shape == (5, 6) and demo["robot_states"].shape == (5, 9)
        assert list(demo["dones"]) == [0, 0, 0, 0, 1]
        assert file["data"].attrs["total"] == 5 and file["data"].attrs["num_demos"] == 1
        assert json.loads(file["data"].attrs["problem_info"]) == {"a": 1}


def test_upstream_file_without_our_extras(tmp_path):
    path = tmp_path / "x_demo.hdf5"
    episode = make_episode()
    append(path, episode)
    pack(path)
    with h5py.File(path, "r+") as file:
        demo = file["data/demo_0"]
        for extra in ("expert_actions", "label_valid", "obs/joint_velocities", "obs/ee_quat"):
            del demo[extra]
        del demo.attrs["instruction"], demo.attrs["meta"]
        file["data"].attrs["problem_info"] = json.dumps({"language_instruction": "open it"})
    read = read_episode(path, "demo_0")
    assert read.instruction == "open it" and read.label_valid.all() and read.meta == {}
    assert np.array_equal(read.expert, read.executed)
    assert np.allclose(read.joint_velocity[2], (episode.joint_position[3] - episode.joint_position[1]) * 10)
    assert np.allclose(np.abs(np.sum(read.ee_quaternion * episode.ee_quaternion, axis=1)), 1)  # same rotation


def test_appending_to_a_packed_file_continues_it(tmp_path):
    path = tmp_path / "x_demo.hdf5"
    append(path, make_episode(seed=0))
    pack(path)
    append(path, make_episode(seed=1))
    pack(path)
    append(path, make_episode(seed=2))
    assert [e.meta["seed"] for e in read_episodes(path)] == [0, 1, 2]


def test_a_moved_folder_still_reads(tmp_path):
    (tmp_path / "a").mkdir()
    append(tmp_path / "a" / "x_demo.hdf5", make_episode())
    os.rename(tmp_path / "a", tmp_path / "b")
    assert len(list(read_episodes(tmp_path / "b" / "x_demo.hdf5"))) == 1


def test_killed_writer_leaves_every_finished_demonstration(tmp_path):
    path = tmp_path / "x_demo.hdf5"
    code = f"""
        import sys
        sys.path[:0] = {[os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]!r}
        from test_libero_hdf5 import append, make_episode
        for seed in range(1000):
            print(append({str(path)!r}, make_episode(40, seed, size=64)), flush=True)
    """
    writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    written = [writer.stdout.readline().strip() for _ in range(5)]
    writer.send_signal(signal.SIGKILL)
    written += writer.stdout.read().split()
    writer.wait()
    names = episode_names(path)
    assert set(written) <= set(names)
    for episode in read_episodes(path):
        assert_equal(episode, make_episode(40, episode.meta["seed"], size=64))
    append(path, make_episode(seed=7))  # and it goes on from there
    pack(path)
    assert len(episode_names(path)) == len(names) + 1


@pytest.mark.parametrize("content", [b"", b"no hdf5"])
def test_foreign_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "x.hdf5"
    path.write_bytes(content)
    with pytest.raises(CladError, match="x.hdf5"):
        episode_names(path)
    with pytest.raises(CladError, match="does not exist"):
        episode_names(tmp_path / "missing.hdf5")
