"""One door for every kind, and the commands behind it: check, convert, encode."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
import tiny_bag
from random_episode import make_episode
from tiny_demos import CAMERAS, FEATURES, encoded

from clad.cli.main import main
from clad.contract import load_contract
from clad.data import features
from clad.data.libero_hdf5 import read_episode, write_episode
from clad.data.sources import find_paths, find_sources, kind_of, open_episodes
from clad.data.validate import problems
from clad.data.windows import build_windows
from clad.errors import CladError

CONTRACT = load_contract("libero")


def write_libero(path, *episodes):
    for one in episodes:
        write_episode(path, one, states=None, file_attrs={})
    return path


@pytest.fixture
def mixed(tmp_path):
    """A folder with two LIBERO demonstrations and a bag, and things that are neither."""
    root = tmp_path / "mixed"
    size = {"size": 16}
    write_libero(root / "libero_10" / "a_demo.hdf5", make_episode(4, 0, **size), make_episode(5, 1, **size))
    (root / "libero_10" / "a_demo.json").write_text("{}")
    (root / ".hidden.hdf5").write_bytes(b"half written")
    (root / "bags").mkdir()
    tiny_bag.write_bag(root / "bags" / "x-0", tiny_bag.messages(tiny_bag.data()))
    return root


def test_every_kind_is_found_in_order_under_keys_of_its_own(mixed):
    assert [kind for kind, _ in find_paths(mixed)] == ["rosbag", "libero"]
    keys = ["bags/x-0/episode_0", "libero_10/a_demo/demo_0", "libero_10/a_demo/demo_1"]
    assert [source.key for source in find_sources(mixed)] == keys
    assert [len(episode) for episode in open_episodes(mixed)] == [tiny_bag.STEPS, 4, 5]
    assert [s.key for s in find_sources(mixed / "bags" / "x-0")] == ["x-0/episode_0"]
    assert kind_of(mixed) is None and kind_of(mixed / "libero_10" / "a_demo.json") is None
    with pytest.raises(CladError, match="no demonstration in .*elsewhere"):
        find_sources(mixed / "elsewhere")


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"joint_position": np.zeros((5, 6))}, "joint_position", r"shape \(5, 6\), libero wants \(5, 7\)"),
        ({"joint_velocity": np.full((5, 7), np.nan)}, "joint_velocity", "not a finite number at step 0"),
        ({"ee_quaternion": np.ones((5, 4))}, "ee_quaternion", "not of unit length at 5 steps"),
        ({"executed": np.full((5, 7), 1.5)}, "executed", r"leaves \[-1, 1\] \(up to 1.5\)"),
        ({"expert": np.zeros((4, 7))}, "expert", r"shape \(4, 7\)"),
        ({"label_valid": np.ones(5)}, "label_valid", "must be bool"),
        ({"image_valid": np.arange(5) > 0}, "image_valid", "False at step 0"),
        ({"instruction": " "}, "instruction", "blank"),
        ({"images": {"wrist": np.zeros((5, 8, 8, 3), np.uint8)}}, "images.agentview", "missing; cameras here: wrist"),
        ({"images": {c: np.zeros((5, 8, 8, 3)) for c in CAMERAS}}, "images.agentview", "float64"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, field, message):
    assert problems(make_episode(5), CONTRACT, tmp_path) == []
    found = [
        p for p in problems(dataclasses.replace(make_episode(5), **change), CONTRACT, tmp_path) if p.field == field
    ]
    with pytest.raises(AssertionError, match=message):
        raise AssertionError("; ".join(map(str, found)))
    assert str(found[0]).startswith(f"{tmp_path}: seed_0: {field} ")


def test_reading_refuses_what_is_not_valid(tmp_path):
    bad = dataclasses.replace(make_episode(3), executed=np.full((3, 7), 2.0))
    path = write_libero(tmp_path / "x_demo.hdf5", make_episode(3), bad)
    with pytest.raises(CladError, match=r"x_demo.hdf5: demo_1: executed leaves .*clad data check"):
        list(open_episodes(path))


def test_check_counts_and_names_everything_that_is_wrong(mixed, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert main(["data", "check", str(mixed), "--json", str(report)]) == 0
    body = json.loads(report.read_text())
    assert body["episodes"] == 3 and body["steps"] == 17 and body["length"] == {"min": 4, "median": 5.0, "max": 8}
    assert body["steps_with_images"] == 4 + 5 + 3 and body["problems"] == []
    assert {t["instruction"]: t["episodes"] for t in body["tasks"]} == {"put it away": 1, "put the book away": 2}
    assert body["cameras"] == {"agentview": [[16, 16]], "wrist": [[16, 16]]}
    assert "nothing wrong" in capsys.readouterr().out
    file = next((mixed / "libero_10").glob("*.parts/demo_1*"))
    with h5py.File(file, "r+") as part:
        del part["data/demo/obs/ee_pos"]
    (mixed / "z.hdf5").write_bytes(b"no hdf5")
    assert main(["data", "check", str(mixed), "--json", str(report)]) == 1
    captured = capsys.readouterr()
    assert "2 problems" in captured.err and "demo_1 has no dataset obs/ee_pos" in captured.out
    assert [p["file"].rsplit("/", 1)[1] for p in json.loads(report.read_text())["problems"]] == [
        "a_demo.hdf5",
        "z.hdf5",
    ]


def test_convert_there_and_back_keeps_all_but_pixels(tmp_path, capsys):
    flags = np.arange(6) % 2 == 0
    meta = {"suite": "libero_10", "task_name": "KITCHEN_SCENE3_turn_on_the_stove", "seed": 7}
    one = dataclasses.replace(make_episode(6, size=16), image_valid=flags, meta=meta, instruction="turn on the stove")
    two = make_episode(4, 1, size=16)
    write_libero(tmp_path / "a" / "a_demo.hdf5", one, two)
    there, back = tmp_path / "lr", tmp_path / "back"
    assert main(["data", "convert", str(tmp_path / "a"), str(there), "--to", "lerobot"]) == 0
    assert main(["data", "convert", str(there), str(back), "--to", "libero"]) == 0
    files = sorted(str(p.relative_to(back)) for p in back.rglob("*.*"))
    assert files == [
        "libero_10/KITCHEN_SCENE3_turn_on_the_stove_demo.hdf5",
        "libero_10/put_the_book_away_demo.hdf5",
    ]
    for file, written in zip(files, (one, two), strict=True):
        read = read_episode(back / file, "demo_0")
        assert read.instruction == written.instruction and written.meta.items() <= read.meta.items()
        for field in dataclasses.fields(read):
            value = getattr(written, field.name)
            if isinstance(value, np.ndarray):
                assert np.array_equal(value, getattr(read, field.name)), field.name
    assert main(["data", "convert", str(there), str(back), "--to", "libero"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["data", "convert", str(there), str(tmp_path / "c"), "--to", "lerobot"]) == 2
    assert "of kind lerobot already" in capsys.readouterr().err


def test_a_failed_conversion_leaves_nothing(tmp_path, capsys):
    bad = dataclasses.replace(make_episode(3, size=16), executed=np.full((3, 7), 2.0))
    path = write_libero(tmp_path / "x_demo.hdf5", make_episode(3, size=16), bad)
    assert main(["data", "convert", str(path), str(tmp_path / "out"), "--to", "lerobot"]) == 1
    assert "demo_1: executed leaves" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x_demo.hdf5", "x_demo.parts"]


def test_encode_takes_bags_and_says_where_it_looked(tmp_path, tiny_models):
    mixed = tmp_path / "mixed"
    write_libero(mixed / "a_demo.hdf5", make_episode(4, size=128), make_episode(5, 1, size=128))
    (mixed / "bags").mkdir()
    tiny_bag.write_bag(mixed / "bags" / "x-0", tiny_bag.messages(tiny_bag.data(size=128)))
    arguments = ["encode", "--demos", str(mixed), "--encoder", str(tiny_models / "encoder-tiny"), "--out"]
    bag = next(s for s in find_sources(mixed) if s.kind == "rosbag").read(CONTRACT)
    assert main([*arguments, str(tmp_path / "f")]) == 0
    assert features.pending(mixed, tmp_path / "f") == ([], 3)
    cached = {e.key: e for e in features.load_cache(tmp_path / "f", CAMERAS, FEATURES)}["bags/x-0/episode_0"]
    assert np.array_equal(cached.image_valid, bag.image_valid) and np.array_equal(cached.executed, bag.executed)
    values = cached.features["wrist", "keypoints"]
    assert np.array_equal(values[4], values[3]) and not np.array_equal(values[3], values[2])


def test_windows_look_only_where_the_robot_looked():
    """Looks at 0, 3, 6, ...: with tau 6 every window's past, now and future are looks; the last look stands for the end."""
    episode = encoded(20, image_valid=np.arange(20) % 3 == 0)
    options = dict(horizon=6, proprio="joint16", cameras=CAMERAS, features=FEATURES, action=CONTRACT.action)
    got = build_windows([encoded(5), episode], **options)
    mine = got.episode == 1
    assert (got.now[mine] - 5).tolist() == [0, 3, 6, 9, 12, 15, 18]
    assert (got.past[mine] - 5).tolist() == [0, 0, 0, 3, 6, 9, 12]
    assert (got.future[mine] - 5).tolist() == [6, 9, 12, 15, 18, 18, 18]
    assert np.array_equal(got.chunks[mine][1], episode.expert[3:9])
    assert np.array_equal(got.actions[mine][2], episode.executed[:6])
