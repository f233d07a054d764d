"""Things set down on things: mugs on plates, moka pots on the stove, a box on the table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from clad.sim.expert.operator import CLOSED, OPEN, EpisodeOver, Operator, pointing_down
from clad.sim.expert.skills import choose_top_grasp, grasp

# where to grip, from the body's origin, and the hand's yaw, for an object at its usual yaw (second line). A mug or bowl
# (9-11 cm) is wider than the gripper's 8 cm, so one finger goes inside, on a mug at the wall away from the handle; a moka
# pot is taken by its lid. Other things are gripped at the middle, across the shorter side.
_GRIPS = {
    "porcelain_mug": ((0.0, -0.0565, 0.085), 0.0, -np.pi / 2),
    "white_yellow_mug": ((0.0, 0.0605, 0.080), 0.0, -np.pi / 2),
    "moka_pot": ((0.0, 0.001, 0.078), 0.0, np.pi),
    "akita_black_bowl": ((0.048, 0.0, 0.036), np.pi / 2, np.pi / 2),
}
_APART = 0.09  # m between two things on one place


def set_down(op: Operator, name: str, place: str) -> None:
    """Bring `name` onto `place`, an object or a region."""
    point, yaw = grip_of(op, name)
    if grasp(op, point, yaw, hover=0.08, lift=0.15):
        carry_to(op, name, lambda: _spot(op, name, place), yaw)


def carry_to(op: Operator, name: str, spot: Callable[[], np.ndarray], yaw: float) -> None:
    """Bring the held object's origin above `spot()` (3,), lower it there, let go and rise; follows its swing."""
    rotation = pointing_down(yaw)

    def hand_for(height: float) -> Callable[[], np.ndarray]:
        return lambda: spot() + [0.0, 0.0, height] - (op.scene.position(name) - op.hand)

    op.move(hand_for(0.06), rotation, CLOSED, tolerance=0.008, limit=110)
    op.move(hand_for(0.0), rotation, CLOSED, tolerance=0.006, limit=40)
    op.open()
    op.move(op.hand + [0.0, 0.0, 0.12], rotation, OPEN, tolerance=0.03, limit=25)


def grip_of(op: Operator, name: str) -> tuple[Callable[[], np.ndarray], float]:
    """Where to grip an object, as a function (3,) of the moment, and the hand's yaw (rad).

    Raises EpisodeOver for a mug, pot or bowl that no longer stands upright.
    """
    known = _GRIPS.get(name.rsplit("_", 1)[0])
    if known is None:
        chosen = choose_top_grasp(op, name)

        def middle() -> np.ndarray:
            low, high = op.scene.bounds(name)
            return np.array([*((low + high)[:2] / 2 + chosen.offset), max(high[2] - 0.025, low[2] + 0.014)])

        return middle, chosen.yaw
    if not op.scene.upright(name):
        raise EpisodeOver(False, f"{name} fell over")
    offset, yaw, usual = known

    def turned() -> float:
        """By how much the object is turned from its usual yaw."""
        return op.scene.yaw(name) - usual

    def point() -> np.ndarray:
        return op.scene.position(name) + Rotation.from_euler("z", turned()).apply(offset)

    return point, (yaw + turned() + np.pi / 2) % np.pi - np.pi / 2  # the hand is the same after half a turn


def _spot(op: Operator, name: str, place: str) -> np.ndarray:
    """(3,) where the origin of `name` belongs, its bottom a little above the place."""
    bottom = op.scene.position(name)[2] - op.scene.bounds(name)[0][2]
    if place in op.scene.objects:  # a plate: its floor lies 12 mm above its origin
        return op.scene.position(place) + [0.0, 0.0, 0.015 + bottom]
    spot = op.scene.site(place)
    if place.endswith("_cook_region"):
        sharing = sorted(goal[1] for goal in op.scene.goals if goal[-1] == place and goal[0] == "on")
        beside = _APART * (sharing.index(name) - (len(sharing) - 1) / 2)
        return spot + [beside, 0.015, 0.026 + bottom]
    return spot + [0.0, 0.0, 0.004 + bottom]
