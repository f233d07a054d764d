"""Pictures out of messages, raw or compressed, of whatever decoder."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from clad.errors import CladError

CAMERA_SUFFIX = "/image_raw"
_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}


def picture(message: Any) -> np.ndarray:
    """(H, W, 3) uint8 rgb, row 0 at the top, of a sensor_msgs Image or CompressedImage.

    Raises CladError for an encoding that has no 8-bit colours, or data that do not make a picture.
    """
    return _compressed(message) if hasattr(message, "format") else _raw(message)


def _raw(message: Any) -> np.ndarray:
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        raise CladError(f"images are encoded as '{message.encoding}'", f"Readable: {', '.join(_CHANNELS)}")
    height, width, step = message.height, message.width, message.step
    data = np.frombuffer(message.data, dtype=np.uint8)
    if not height or not width or step < width * channels or len(data) != step * height:
        raise CladError(f"{len(data)} bytes in rows of {step} are no {width}x{height} {message.encoding} image")
    image = data.reshape(height, step)[:, : width * channels].reshape(height, width, channels)
    if channels == 1:
        return image.repeat(3, axis=2)
    return image[:, :, :3] if message.encoding.startswith("rgb") else image[:, :, 2::-1]


def _compressed(message: Any) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(bytes(message.data))) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise CladError(f"a compressed image ({message.format}) cannot be read: {error}") from error
