"""States at any instant, and pictures of any camera as the contract wants them."""

from __future__ import annotations

import numpy as np
import pytest

from clad.robot.history import History
from clad.robot.images import squared, squared_intrinsics


def test_a_state_between_two_stamps_lies_on_the_line_between_them():
    history = History(seconds=1.0)
    for i in range(5):
        assert history.add(i * 100, np.array([i * 1.0, -i]))
    assert history.at(250).tolist() == [2.5, -2.5] and history.at(300).tolist() == [3.0, -3.0]
    assert history.at(0).tolist() == [0.0, 0.0]
    assert history.at(401) is None and history.at(-1) is None and History().at(0) is None


def test_what_is_old_is_forgotten_and_what_comes_out_of_order_is_not_taken():
    history = History(seconds=1e-7)  # 100 ns
    for stamp in (0, 50, 120):
        history.add(stamp, np.zeros(1))
    assert history.at(10) is None and history.at(60) is not None
    assert not history.add(120, np.ones(1)) and not history.add(90, np.ones(1))
    assert history.newest[0] == 120 and history.newest[1] == 0


def test_the_middle_of_a_wide_picture_is_averaged():
    image = np.zeros((4, 8, 3), dtype=np.uint8)
    image[:2, 2:4], image[2:, 4:6] = 100, 200
    image[0, 2] = 104
    small = squared(image, 2)
    assert small[:, :, 0].tolist() == [[101, 0], [0, 200]]
    assert squared(small, 2) is small
    assert squared(image.transpose(1, 0, 2), 2)[:, :, 1].tolist() == [[101, 0], [0, 200]]


@pytest.mark.parametrize(("height", "width", "size"), [(480, 640, 128), (100, 60, 30), (64, 64, 128)])
def test_the_camera_matrix_follows_the_picture(height, width, size):
    """A gradient along x: the value at the principal point must be the same before and after."""
    k = np.array([[50.0, 0, width / 2 + 3], [0, 50.0, height / 2 - 2], [0, 0, 1]])
    ramp = np.broadcast_to(np.linspace(0, 255, width)[None, :, None], (height, width, 3)).astype(np.uint8)
    after = squared_intrinsics(k, height, width, size)
    small = squared(ramp, size)
    column = int(round(after[0, 2]))
    there = np.interp(k[0, 2] + (column - after[0, 2]) * (min(height, width) / size), np.arange(width), ramp[0, :, 0])
    assert abs(float(small[size // 2, column, 0]) - there) < 3
    assert after[0, 0] == pytest.approx(50.0 * size / min(height, width)) and after[2, 2] == 1.0
