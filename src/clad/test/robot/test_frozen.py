"""Equal pictures while the hand moves are a camera that hangs; equal ones at rest, or different ones, are none."""

from __future__ import annotations

import numpy as np

from clad.robot.frozen import TRAVEL, Frozen


def test_a_picture_that_stays_while_the_hand_moves_names_its_camera_until_it_changes():
    frozen, at = Frozen(), lambda metres: np.array([0.0, 0.0, metres])
    assert frozen.look({"a": b"1", "b": b"1"}, at(0.0)) == ""
    assert frozen.look({"a": b"1", "b": b"2"}, at(0.9 * TRAVEL)) == ""
    assert frozen.look({"a": b"1", "b": b"3"}, at(5 * TRAVEL)).startswith("a is frozen")
    assert frozen.look({"a": b"1", "b": b"3"}, at(5 * TRAVEL)).endswith("moved 5 mm")  # b at rest since its last
    assert frozen.look({"a": b"2", "b": b"3"}, at(5 * TRAVEL)) == ""
    assert "b is frozen" in frozen.look({"b": b"3"}, at(7 * TRAVEL))
    assert frozen.look({}, at(9 * TRAVEL)) == ""
