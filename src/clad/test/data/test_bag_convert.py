"""Bags to LeRobot and LIBERO and back: the same episodes, but for what video loses; and from there into training."""

import dataclasses

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_bag import CONTRACT, PERIOD, STEPS, TIMEOUT, changed, data, messages, moved, write_bag

from clad.cli.main import main
from clad.data.no_ops import no_ops
from clad.data.sources import find_sources


@pytest.fixture
def bags(tmp_path):
    """A success, a failure and, in one recording, two more successes."""
    root = tmp_path / "bags"
    root.mkdir()
    write_bag(root / "a", messages(data(0, 32)))
    write_bag(root / "b", messages(data(1, 32), outcome=TIMEOUT))
    write_bag(root / "c", [*messages(data(2, 32)), *moved(messages(data(3, 32), episode=2), STEPS * 2 * PERIOD)])
    return root


def read(path):
    return [source.read(CONTRACT) for source in find_sources(path)]


def assert_equal_but_for(episode, original, fields=()):
    for field in dataclasses.fields(original):
        a, b = getattr(episode, field.name), getattr(original, field.name)
        if field.name in fields:
            continue
        if field.name == "meta":
            assert b.items() <= a.items()
        elif field.name == "images":
            assert a.keys() == b.keys() and all(np.array_equal(a[camera], b[camera]) for camera in b)
        elif isinstance(b, np.ndarray):
            assert a.dtype == b.dtype and np.array_equal(a, b), field.name
        else:
            assert a == b, field.name


def test_bag_to_libero_and_back_is_exact(bags, tmp_path):
    assert main(["bag", "to-libero", str(bags), "--out", str(tmp_path / "out")]) == 0
    for episode, original in zip(read(tmp_path / "out"), read(bags), strict=True):
        assert_equal_but_for(episode, original, ("name",))
    with h5py.File(next((tmp_path / "out").rglob("*.hdf5"))) as file:
        assert [file["data"][f"demo_{i}/dones"][-1] for i in range(4)] == [1, 0, 1, 1]  # the second one failed


def test_bag_to_lerobot_and_back_loses_what_video_loses(bags, tmp_path):
    assert (
        main(["bag", "to-lerobot", str(bags / "a"), str(bags / "b"), str(bags / "c"), "--out", str(tmp_path / "out")])
        == 0
    )
    for episode, original in zip(read(tmp_path / "out"), read(bags), strict=True):
        assert_equal_but_for(episode, original, ("images",))
        assert all(episode.images[camera].shape == original.images[camera].shape for camera in CONTRACT.cameras)
    rows = pq.read_table(next((tmp_path / "out" / "data").rglob("*.parquet"))).to_pylist()
    ends = [row["next.success"] for row in rows]
    assert np.flatnonzero(np.ravel(ends)).tolist() == [STEPS - 1, 3 * STEPS - 1, 4 * STEPS - 1]


def test_only_success_leaves_the_others_out_and_says_so(bags, tmp_path, capsys):
    assert main(["bag", "to-libero", str(bags), "--out", str(tmp_path / "out"), "--only", "success"]) == 0
    said = capsys.readouterr().out
    assert "left out  b/episode_0: ended as timeout" in said and "3 of 4 episodes" in said
    assert [e.meta["outcome"] for e in read(tmp_path / "out")] == ["success"] * 3
    assert main(["bag", "to-libero", str(bags / "b"), "--out", str(tmp_path / "none"), "--only", "success"]) == 1
    assert "no episode for" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_a_bad_episode_stops_the_work_unless_it_may_be_left_out(bags, tmp_path, capsys):
    write_bag(bags / "bad", changed(messages(data(4, 32)), "/executed_action", lambda m: m if m["step"] else None))
    assert main(["bag", "to-lerobot", str(bags), "--out", str(tmp_path / "out")]) == 1
    assert "bad: /executed_action: step 0 is missing. Start the recorder before" in capsys.readouterr().err
    assert main(["bag", "to-lerobot", str(bags), "--out", str(tmp_path / "out"), "--skip-bad"]) == 0
    said = capsys.readouterr().out
    assert "left out  bad/episode_0" in said and "4 of 5 episodes" in said and len(read(tmp_path / "out")) == 4


def test_steps_without_motion_can_be_marked(tmp_path):
    still = changed(messages(data(0, 32), hash=""), "/executed_action", lambda m: m | {"values": [0.0] * 6 + [1.0]})
    level = changed(still, "/joint_states", lambda m: m | {"position": [0.0] * 9})
    bag = write_bag(tmp_path / "bag", level)
    assert main(["bag", "to-libero", str(bag), "--out", str(tmp_path / "out"), "--mark-no-ops"]) == 0
    (episode,) = read(tmp_path / "out")
    assert not episode.label_valid.all()
    assert np.array_equal(episode.label_valid, ~no_ops(episode.expert, episode.gripper_position))


def test_what_is_no_bag_is_refused(bags, tmp_path, capsys):
    assert main(["bag", "to-libero", str(bags / "a"), "--out", str(tmp_path / "out")]) == 0
    assert main(["bag", "to-lerobot", str(tmp_path / "out"), "--out", str(tmp_path / "lr")]) == 2
    assert "is no bag. Use clad data check" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lerobot", "libero"])
def test_recordings_train_a_planner(kind, tmp_path, tiny_models):
    root, out = tmp_path / "bags", tmp_path / kind
    root.mkdir()
    for seed in range(6):
        write_bag(root / f"x-{seed}", messages(data(seed, 128)))
    assert main(["bag", f"to-{kind}", str(root), "--out", str(out)]) == 0
    cache = tmp_path / "features"
    assert (
        main(["encode", "--demos", str(out), "--encoder", str(tiny_models / "encoder-tiny"), "--out", str(cache)]) == 0
    )
    small = [
        "planner.width=16",
        "planner.hidden=32",
        "planner.heads=2",
        "data.validation=0.4",
        "train_planner.batch=16",
    ]
    changes = [part for setting in small for part in ("--set", setting)]
    run = tmp_path / "run"
    assert main(["train", "planner", "--features", str(cache), "--out", str(run), "--steps", "20", *changes]) == 0
    assert (run / "metrics.jsonl").read_text().count("\n") > 0
