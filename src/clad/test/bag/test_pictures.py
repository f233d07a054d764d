"""Pictures out of messages: every encoding gives the same colours, padding is left out, nonsense is refused."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from clad.bag.pictures import picture
from clad.errors import CladError

RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
ALPHA = np.full((6, 5, 1), 255, np.uint8)
ENCODED = {
    "rgb8": RGB,
    "bgr8": RGB[:, :, ::-1],
    "rgba8": np.concatenate([RGB, ALPHA], axis=2),
    "bgra8": np.concatenate([RGB[:, :, ::-1], ALPHA], axis=2),
}


def raw(encoding: str, pixels: np.ndarray, padding: int = 0) -> SimpleNamespace:
    rows = pixels.reshape(len(pixels), -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=7)
    height, width = pixels.shape[:2]
    return SimpleNamespace(encoding=encoding, height=height, width=width, step=padded.shape[1], data=padded.tobytes())


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("padding", [0, 3])
def test_every_encoding_gives_the_same_colours(encoding, padding):
    np.testing.assert_array_equal(picture(raw(encoding, ENCODED[encoding], padding)), RGB)


def test_grey_and_compressed():
    grey = picture(raw("mono8", RGB[:, :, :1]))
    assert grey.shape == (6, 5, 3) and (grey == RGB[:, :, :1]).all()
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "PNG")
    np.testing.assert_array_equal(picture(SimpleNamespace(format="rgb8; png", data=file.getvalue())), RGB)


@pytest.mark.parametrize(
    "message",
    [
        raw("16UC1", RGB),
        SimpleNamespace(encoding="rgb8", height=6, width=5, step=15, data=b"short"),
        SimpleNamespace(encoding="rgb8", height=6, width=5, step=3, data=bytes(18)),
        SimpleNamespace(encoding="rgb8", height=0, width=0, step=0, data=b""),
        SimpleNamespace(format="jpeg", data=b"nothing of that kind"),
    ],
)
def test_what_is_no_picture_is_refused(message):
    with pytest.raises(CladError):
        picture(message)
