"""Cameras that hang: a driver may go on publishing its last image under new stamps, so age alone does not tell.

A sensor's noise makes two images of it differ; a simulator's images are equal as long as nothing moves. Equal images while
the hand has travelled are therefore the sign: 0 of 6878 images of LIBERO demonstrations show it. Knows no ROS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

TRAVEL = 0.001  # m that the hand moves at most while a working camera's image stays the same


class Frozen:
    """Of one episode."""

    def __init__(self) -> None:
        self._images: dict[str, tuple[Any, np.ndarray]] = {}  # camera -> (data, hand position when it last changed)

    def look(self, images: Mapping[str, Any], hand: np.ndarray) -> str:
        """The first camera that hangs, in words, or an empty text.

        images: camera -> its data, compared by ==; hand: (3,) position at their instant, m.
        """
        words = ""
        for camera, data in images.items():
            if camera not in self._images or self._images[camera][0] != data:
                self._images[camera] = data, hand
                continue
            travel = float(np.linalg.norm(hand - self._images[camera][1]))
            if travel > TRAVEL and not words:
                words = f"{camera} is frozen: its image stayed the same while the hand moved {travel * 1e3:.0f} mm"
        return words
