"""A camera's picture as the contract wants it: square, of the contract's size."""

from __future__ import annotations

import cv2
import numpy as np


def squared(image: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 to (size, size, 3): the middle square, averaged over areas when it shrinks. No copy if it fits."""
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    side, (top, left) = min(height, width), _corner(height, width)
    middle = np.ascontiguousarray(image[top : top + side, left : left + side])
    return cv2.resize(middle, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)


def squared_intrinsics(k: np.ndarray, height: int, width: int, size: int) -> np.ndarray:
    """The camera matrix K (3, 3), pixels, of what `squared` makes of a picture of (height, width).

    Pixel centres are at whole numbers, so the scale acts about (-0.5, -0.5).
    """
    side, (top, left) = min(height, width), _corner(height, width)
    scale = size / side
    k = np.array(k, dtype=np.float64)
    k[:2, 2] -= (left, top)
    k[0] *= scale
    k[1] *= scale
    k[:2, 2] += 0.5 * scale - 0.5
    return k


def _corner(height: int, width: int) -> tuple[int, int]:
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2
