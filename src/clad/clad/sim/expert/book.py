"""LIBERO-10 task 5: the book into the back compartment of the caddy."""

from __future__ import annotations

import numpy as np

from clad.sim.expert.operator import CLOSED, OPEN, EpisodeOver, Operator, pointing_down
from clad.sim.expert.skills import grasp

_BOOK, _SLOT = "black_book_1", "desk_caddy_1_back_contain_region"
_HALF_HEIGHT = 0.067  # the upright book is 2.9 x 11 x 13.4 cm
_GRIP_BELOW_TOP = 0.028
_SLOT_HALF_HEIGHT = 0.06  # the slot, 6 x 12.9 cm, is centred on its site; its floor lies this much lower
_ABOVE_WALLS, _RELEASE = 0.17, 0.055  # m from the slot's floor to the book's bottom


def into_caddy(op: Operator, book: str, region: str) -> None:
    """Grip across the thickness, turn so that the thickness lies along x, drop from above the caddy's walls.

    The hand must stay above the walls, so the book is let go 5 cm above the floor.
    """
    for _ in range(4):
        centre, frame = op.scene.first_geom_pose(_BOOK)
        if abs(frame[2, 2]) < 0.8:
            raise EpisodeOver(False, "the book fell over: lying flat it is wider than the gripper")
        thickness = frame[:, 0]
        yaw = np.arctan2(-thickness[0], thickness[1])
        yaw = (yaw + np.pi / 2) % np.pi - np.pi / 2  # either side of the book will do: the smaller turn
        if grasp(op, _grip_point(op), yaw, hover=0.08, lift=0.21):
            _insert(op, pointing_down(-np.pi / 2 if yaw < 0 else np.pi / 2))


def _grip_point(op: Operator):
    def point() -> np.ndarray:
        centre, _ = op.scene.first_geom_pose(_BOOK)
        return centre + [0.0, 0.0, _HALF_HEIGHT - _GRIP_BELOW_TOP]

    return point


def _insert(op: Operator, rotation: np.ndarray) -> None:
    """Carry the held book over the slot, lower it, let go. Jammed on an edge: rise above the walls and come again."""
    op.move(op.hand, rotation, CLOSED, limit=40)  # turn in place first
    for _ in range(4):
        miss = op.take_off_target()
        if miss is not None:
            op.move(_hand_for(op, _ABOVE_WALLS), rotation, CLOSED, tolerance=0.02)
            with op.mistake():
                op.move(_hand_for(op, _ABOVE_WALLS, miss), rotation, CLOSED, tolerance=0.01, limit=20)
                op.move(_hand_for(op, _RELEASE, miss), rotation, CLOSED, limit=25)
            op.move(op.hand + [0.0, 0.0, 0.03], rotation, CLOSED, tolerance=0.015, limit=15)
        op.move(_hand_for(op, _ABOVE_WALLS), rotation, CLOSED, tolerance=0.006)
        if not op.holding:
            op.open()
            return
        if op.move(_hand_for(op, _RELEASE), rotation, CLOSED, tolerance=0.008, limit=60):
            op.open()
            op.move(op.hand + [0.0, 0.0, 0.12], rotation, OPEN, tolerance=0.03, limit=25)
            op.stay(5, OPEN)
            return
        op.move(op.hand + [0.0, 0.0, 0.05], rotation, CLOSED, tolerance=0.02, limit=20)


def _hand_for(op: Operator, height: float, miss: np.ndarray | None = None):
    """Where the hand must be for the book's bottom to be `height` above the slot's floor; follows its swing.

    miss: (2,) metres beside the slot, for a mistake on purpose.
    """

    def target() -> np.ndarray:
        centre, _ = op.scene.first_geom_pose(_BOOK)
        slot = op.scene.site(_SLOT)
        wanted = slot + [0.0, 0.0, height + _HALF_HEIGHT - _SLOT_HALF_HEIGHT]
        if miss is not None:
            wanted[:2] += miss
        return wanted - (centre - op.hand)

    return target
