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
    """A point of the world must be in the pixel in which the picture shows it: areas of pixels, not centres, are scaled."""
    k = np.array([[50.0, 0, width / 2 + 3], [0, 55.0, height / 2 - 2], [0, 0, 1]])
    after = squared_intrinsics(k, height, width, size)
    side = min(height, width)
    corner = np.array([(width - side) // 2, (height - side) // 2])
    for ray in ([0.0, 0.0, 1.0], [0.2, -0.1, 1.0], [-0.3, 0.25, 1.0]):
        before = (k @ ray)[:2]
        assert (after @ ray)[:2] == pytest.approx((before + 0.5 - corner) * size / side - 0.5)
    assert after[2].tolist() == [0, 0, 1]


def test_a_bright_pixel_is_where_the_camera_matrix_says():
    image = np.zeros((240, 320, 3), dtype=np.uint8)
    image[60:64, 200:204] = 255  # its centre is at (201.5, 61.5)
    k = squared_intrinsics(np.array([[1.0, 0, 201.5], [0, 1.0, 61.5], [0, 0, 1]]), 240, 320, 60)
    small = squared(image, 60)
    assert tuple(np.argwhere(small[..., 0] > 200)[0]) == (k[1, 2], k[0, 2])
