"""The feature cache: resumable, faithful, and refused where it does not belong."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from tiny_demos import CAMERAS, FEATURES, INSTRUCTION, reach_episode, write_reach_demos

from clad.cli.main import main
from clad.data import features
from clad.encoders.encoder import Encoder
from clad.errors import CladError


@pytest.fixture
def demos(tmp_path) -> Path:
    write_reach_demos(tmp_path / "demos" / "libero_10" / "reach_demo.hdf5", 3, length=7)
    return tmp_path / "demos"


@pytest.fixture
def encoder_path(tiny_models) -> Path:
    return tiny_models / "encoder-tiny"


def encode(demos, out, encoder_path, *more) -> int:
    return main(["encode", "--demos", str(demos), "--encoder", str(encoder_path), "--out", str(out), *more])


def test_cache_holds_what_the_encoder_says(demos, tmp_path, encoder_path):
    out = tmp_path / "features"
    assert encode(demos, out, encoder_path) == 0
    episodes = features.load_cache(out, CAMERAS, FEATURES)
    assert [e.key for e in episodes] == [f"libero_10/reach_demo/demo_{i}" for i in range(3)]
    encoder = Encoder(encoder_path)
    for seed, got in enumerate(episodes):
        source = reach_episode(seed, length=7)
        for camera in CAMERAS:
            alone = encoder.images(source.images[camera][4:5])
            for feature in FEATURES:
                np.testing.assert_allclose(got.features[camera, feature][4], alone[feature][0], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(got.executed, source.executed)
        np.testing.assert_array_equal(got.expert, source.expert)
        np.testing.assert_array_equal(got.ee_position, source.ee_position)
        np.testing.assert_array_equal(got.text, encoder.text(INSTRUCTION))
        assert got.instruction == INSTRUCTION and got.meta["task"] == 5 and got.label_valid.all() and len(got) == 7


def test_resumes_and_notices_new_and_changed_demonstrations(demos, tmp_path, encoder_path):
    out = tmp_path / "features"
    encode(demos, out, encoder_path)
    assert features.pending(demos, out) == ([], 3)
    (out / "libero_10" / "reach_demo" / "demo_1.safetensors").unlink()
    (out / "libero_10" / "reach_demo" / ".demo_1.safetensors.77").write_bytes(b"half written")
    jobs, done = features.pending(demos, out)
    assert [j.source.name for j in jobs] == ["demo_1"] and done == 2
    with h5py.File(demos / "libero_10" / "reach_demo.hdf5", "r+") as file:
        file["data"]["demo_2"]["actions"][0, 0] = 0.123
    assert [j.source.name for j in features.pending(demos, out)[0]] == ["demo_1", "demo_2"]
    encode(demos, out, encoder_path)
    assert features.load_cache(out, CAMERAS, FEATURES)[2].executed[0, 0] == 0.123
    assert features.pending(demos, out) == ([], 3)


def test_workers_make_the_same(demos, tmp_path, encoder_path):
    encode(demos, tmp_path / "a", encoder_path)
    encode(demos, tmp_path / "b", encoder_path, "--workers", "2")
    one, two = (features.load_cache(tmp_path / name, CAMERAS, FEATURES) for name in "ab")
    for a, b in zip(one, two, strict=True):
        assert a.key == b.key and a.meta == b.meta and np.array_equal(a.executed, b.executed)
        assert all(np.array_equal(a.features[key], b.features[key]) for key in a.features)


def test_another_encoder_is_refused(demos, tmp_path, encoder_path, capsys):
    from tiny_bundle import write_tiny_encoder

    out = tmp_path / "features"
    encode(demos, out, encoder_path)
    write_tiny_encoder(tmp_path / "other", seed=5)
    assert encode(demos, out, tmp_path / "other") == 1
    assert "holds features of encoder tiny" in capsys.readouterr().err


def test_missing_things_are_named(demos, tmp_path, encoder_path, capsys):
    out = tmp_path / "features"
    assert encode(tmp_path / "nowhere", out, encoder_path) == 1
    assert "no demonstration" in capsys.readouterr().err
    with pytest.raises(CladError, match="is empty"):
        features.load_cache(out, CAMERAS, FEATURES)
    with pytest.raises(CladError, match="no feature cache"):
        features.read_info(demos)
    encode(demos, out, encoder_path)
    with pytest.raises(CladError, match="images.front.keypoints"):
        features.load_cache(out, ("front",), FEATURES)
    body = json.loads((out / "features.json").read_text())
    (out / "features.json").write_text(json.dumps({**body, "schema": 7}))
    with pytest.raises(CladError, match="another schema"):
        features.read_info(out)
