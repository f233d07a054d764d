"""The one home of image orientation and quaternion order.

Wire and library: quaternions are xyzw, images have row 0 at the top and show the true, unmirrored view.
MuJoCo stores quaternions wxyz and OpenGL hands images over bottom row first; both are converted here only.
"""

from __future__ import annotations

import numpy as np


def quaternion_wxyz_to_xyzw(q: np.ndarray) -> np.ndarray:
    """MuJoCo's order (..., 4) wxyz to ours, xyzw."""
    return np.roll(np.asarray(q), -1, axis=-1)


def quaternion_xyzw_to_wxyz(q: np.ndarray) -> np.ndarray:
    """Our order (..., 4) xyzw to MuJoCo's, wxyz."""
    return np.roll(np.asarray(q), 1, axis=-1)


TOOL_DOWN = np.array([1.0, 0.0, 0.0, 0.0])  # xyzw: a half turn about x, the hand's home orientation


def canonical_quaternion(q: np.ndarray) -> np.ndarray:
    """Of the two quaternions (..., 4) xyzw that mean one rotation, the one on TOOL_DOWN's side.

    A hand that points down lies where w crosses zero, so the usual 'w >= 0' rule would flip the sign in
    mid-episode. On TOOL_DOWN's hemisphere the jump lies at a half turn of yaw, beyond the wrist's range.
    """
    q = np.asarray(q, dtype=np.float64)
    return np.where((q @ TOOL_DOWN)[..., None] < 0, -q, q)


def image_from_opengl(image: np.ndarray) -> np.ndarray:
    """Rendered (..., H, W, 3), bottom row first, to the true view, contiguous.

    Only the rows are reversed. The 180-degree turn that many LIBERO code bases use is this view's mirror image.
    """
    return np.ascontiguousarray(np.flip(image, axis=-3))


def image_to_opengl(image: np.ndarray) -> np.ndarray:
    """The inverse: LIBERO's own HDF5 files store images bottom row first."""
    return np.ascontiguousarray(np.flip(image, axis=-3))
