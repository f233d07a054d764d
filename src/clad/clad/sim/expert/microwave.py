"""The microwave: the mug into it, and closing its door."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from clad.sim.expert.operator import CLOSED, OPEN, EpisodeOver, Operator, pointing_down

# the opening is 14 cm high, too low for mug and hand from above: grip the vertical bar of the handle with the hand
# tilted, so that only the mug enters
_TILTED = Rotation.from_euler("x", 50, degrees=True).as_matrix() @ pointing_down(np.pi / 2)
_HANDLE = np.array([0.0, -0.066, 0.058])  # from the mug's origin, for a mug at its usual yaw
_USUAL_YAW = -np.pi / 2
_FARTHEST_TURN = 0.9  # rad; a handle farther round is out of the hand's way
_FULL_GRIP = 0.0165  # m between the fingers that have the bar between them, not its edge
_IN_HAND = 0.13  # m at most between the grip site and the origin of a mug that hangs by its handle
_FLOOR = 0.072  # m from the heating region's centre down to the floor
# the mug's origin on its way in, from the centre of the opening's floor. First right of the door, which may stand open by
# little more than 70 degrees and is where the hand's left end passes, then left: the right wall is near. Mug and opening leave
# 4 cm of height, so it enters at half of that.
_WAY_IN = (
    (0.030, -0.270, 0.035),
    (0.025, -0.205, 0.035),
    (-0.012, -0.160, 0.020),
    (-0.020, -0.060, 0.020),
    (-0.020, -0.045, 0.004),
)

_PUSH_RADIUS, _PUSH_HEIGHT = 0.18, 1.03  # m from the hinge; m above the ground
_SHUT = -0.003  # rad


def into_microwave(op: Operator, mug: str, region: str) -> None:
    """The mug through the open door, held by its handle. Stuck or leaning on the way, back onto the table with it."""
    home = op.scene.position(mug)
    if not _take(op, mug):
        return
    floor = op.scene.site(region) - [0.0, 0.0, _FLOOR]
    for point in _WAY_IN:
        arrived = _bring(op, mug, floor + point, upright=True)
        close = np.linalg.norm(op.scene.position(mug) - floor - point) < 0.03
        if not (arrived or close) or not op.scene.upright(mug):
            if np.linalg.norm(op.scene.position(mug) - op.hand) < _IN_HAND:
                _bring(op, mug, home + [0.0, -0.04, 0.10])
                _bring(op, mug, home + [0.0, -0.04, 0.002])
            break
    op.open()
    op.move(op.hand + [0.0, -0.12, 0.0], _TILTED, OPEN, tolerance=0.02, limit=40)
    op.move(op.hand + [0.0, -0.04, 0.16], _TILTED, OPEN, tolerance=0.04, limit=40)


def _bring(op: Operator, mug: str, to: np.ndarray, *, upright: bool = False) -> bool:
    """Move the held mug's origin there, following its swing; whether it arrived. upright: no farther once it leans."""

    def target() -> np.ndarray:
        if upright and not op.scene.upright(mug):
            return op.hand
        return to - (op.scene.position(mug) - op.hand)

    return op.move(target, _TILTED, CLOSED, tolerance=0.01, limit=60)


def _take(op: Operator, mug: str) -> bool:
    """Grip the handle and lift; whether the mug hangs safely from the hand. Else the hand is open and clear of it."""
    turn = (op.scene.yaw(mug) - _USUAL_YAW + np.pi) % (2 * np.pi) - np.pi
    if not op.scene.upright(mug) or abs(turn) > _FARTHEST_TURN:
        raise EpisodeOver(False, f"{mug} fell over or turned its handle away")
    turned = Rotation.from_euler("z", turn)
    rotation = turned.as_matrix() @ _TILTED

    def handle(back: float = 0.0, up: float = 0.0):
        return lambda: op.scene.position(mug) + turned.apply(_HANDLE + [0.0, -back, up])

    op.move(handle(0.09, 0.12), rotation, OPEN, tolerance=0.015, limit=90)
    for _ in range(3):
        op.move(handle(0.04, 0.04), rotation, OPEN, tolerance=0.008)
        op.move(handle(), rotation, OPEN, tolerance=0.006)
        around = np.linalg.norm(handle()() - op.hand) < 0.015
        if around:
            break
    height = op.scene.position(mug)[2]
    if around and op.close():
        op.move(op.hand + [0.0, 0.0, 0.10], rotation, CLOSED, tolerance=0.02)
        lifted = op.scene.position(mug)[2] > height + 0.03
        straight = np.linalg.norm((handle()() - op.hand)[:2]) < 0.03
        if lifted and straight and op.opening > _FULL_GRIP:
            return True
        if lifted:
            op.move(op.hand - [0.0, 0.0, 0.098], rotation, CLOSED, tolerance=0.005)
    op.open()
    op.move(op.hand + turned.apply([0.0, -0.04, 0.08]), rotation, OPEN, tolerance=0.02, limit=30)
    return False


def close_microwave(op: Operator, microwave: str) -> None:
    """Push the outside of the door along its arc; the hand's yaw follows the door, its thin side facing it."""
    joint = f"{microwave}_microjoint"
    hinge = op.scene.joint_anchor(joint)[:2]

    def beside_door(angle: float, distance: float) -> np.ndarray:
        outward = np.array([np.sin(angle), -np.cos(angle)])
        along = np.array([np.cos(angle), np.sin(angle)])
        return np.array([*(hinge + _PUSH_RADIUS * along + distance * outward), _PUSH_HEIGHT])

    angle = op.scene.joint(joint)
    start, facing = beside_door(angle, 0.13), pointing_down(np.pi / 2 + angle)
    op.move(np.array([*start[:2], max(op.hand[2], _PUSH_HEIGHT + 0.15)]), facing, CLOSED, tolerance=0.03, limit=60)
    op.move(start, facing, CLOSED, tolerance=0.02, limit=40)
    for _ in range(160):
        angle = op.scene.joint(joint)
        if angle > _SHUT:
            break
        facing = pointing_down(np.clip(np.pi / 2 + angle, 0.0, np.pi / 2))
        push = np.clip(0.7 * op.toward(beside_door(min(angle + 0.35, 0.15), 0.035)), -0.7, 0.7)
        op.act(np.append(push, op.turning_to(facing)), CLOSED)
