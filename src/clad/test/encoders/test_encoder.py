"""The shipped offline encoder does what models are trained on, and a damaged directory is refused by name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from clad.encoders.encoder import Encoder
from clad.errors import CladError

SHIPPED = Path(__file__).parents[4] / "models" / "encoder-offline"


@pytest.fixture(scope="module")
def encoder():
    return Encoder(SHIPPED)


def picture(x: int, y: int, size: int = 128) -> np.ndarray:
    """A red square on grey, its corner at column x and row y."""
    image = np.full((size, size, 3), 120, dtype=np.uint8)
    image[y : y + 24, x : x + 24] = (220, 30, 30)
    return image


def test_dimensions(encoder):
    features = encoder.images(np.stack([picture(10, 10)] * 3))
    assert {n: v.shape for n, v in features.items()} == {"keypoints": (3, 304), "pooled": (3, 1280)}
    assert all(v.dtype == np.float32 for v in features.values())
    assert encoder.feature_dims == {"keypoints": 304, "pooled": 1280}


def test_any_image_size(encoder):
    small, large = picture(40, 40), np.kron(picture(40, 40), np.ones((2, 2, 1), dtype=np.uint8))
    a, b = (encoder.images(i[None])["keypoints"][0] for i in (small, large))
    other = encoder.images(picture(90, 20)[None])["keypoints"][0]
    assert np.linalg.norm(a - b) < 0.5 * np.linalg.norm(a - other)


def test_keypoints_hold_position(encoder):
    """A linear read-out of a few pictures finds the square in others: pooled features would not allow it."""
    rng = np.random.default_rng(0)
    places = rng.integers(0, 104, (48, 2))
    keypoints = encoder.images(np.stack([picture(x, y) for x, y in places]))["keypoints"].astype(np.float64)
    train, test = slice(0, 36), slice(36, None)
    mean = keypoints[train].mean(0)
    centred = keypoints - mean
    gram = centred[train] @ centred[train].T + 1e-3 * np.eye(36)
    weights = centred[train].T @ np.linalg.solve(gram, places[train] - places[train].mean(0))
    error = np.abs(centred[test] @ weights + places[train].mean(0) - places[test]).mean()
    assert error < 8  # pixels of 128


def test_batch_makes_no_difference(encoder):
    images = np.random.default_rng(0).integers(0, 256, (5, 128, 128, 3), dtype=np.uint8)
    together, alone = encoder.images(images), encoder.images(images[3:4])
    for name in together:
        np.testing.assert_allclose(together[name][3], alone[name][0], atol=1e-5)


def test_sentences(encoder):
    a = encoder.text("put the black bowl on the plate")
    b = encoder.text("  place the dark bowl onto the dish ")
    c = encoder.text("turn on the stove")
    assert a.shape == (384,) and a.dtype == np.float32
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-5)
    assert a @ b > 0.7 > 0.5 > a @ c
    assert np.array_equal(a, encoder.text(" put the black bowl on the plate "))
    encoder.text("word " * 600)  # truncated, not refused


@pytest.mark.parametrize("blank", ["", " \n\t"])
def test_blank_instruction(encoder, blank):
    with pytest.raises(CladError, match="empty"):
        encoder.text(blank)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((1, 3, 8, 8), np.uint8)]
)
def test_wrong_images(encoder, images):
    with pytest.raises(CladError, match="uint8 images"):
        encoder.images(images)


def test_damage_is_named(tiny_models, tmp_path):
    copy = shutil.copytree(tiny_models / "encoder-tiny", tmp_path / "e")
    assert Encoder(copy).name == "tiny"
    (copy / "vision.onnx").write_bytes((copy / "vision.onnx").read_bytes()[:-1])
    with pytest.raises(CladError, match="vision.onnx is truncated"):
        Encoder(copy)
    (copy / "text.onnx").unlink()
    (copy / "vision.onnx").write_bytes((tiny_models / "encoder-tiny" / "vision.onnx").read_bytes())
    with pytest.raises(CladError, match="text.onnx is missing"):
        Encoder(copy)


def test_foreign_identity(tiny_models, tmp_path):
    copy = shutil.copytree(tiny_models / "encoder-tiny", tmp_path / "e")
    body = json.loads((copy / "encoder.json").read_text())
    (copy / "encoder.json").write_text(json.dumps({**body, "sha256": "0" * 64}))
    with pytest.raises(CladError, match="does not belong"):
        Encoder(copy)
    (copy / "encoder.json").write_text(json.dumps({**body, "schema": 9}))
    with pytest.raises(CladError, match="schema 9"):
        Encoder(copy)
    with pytest.raises(CladError, match="no encoder.json"):
        Encoder(tmp_path)
