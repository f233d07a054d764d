"""The cabinet's bottom drawer: the bowl into it, and closing it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from clad.sim.expert.operator import CLOSED, OPEN, EpisodeOver, Operator, pointing_down
from clad.sim.expert.skills import grasp

_ACROSS = np.pi / 2  # hand turned so that its fingers open along x and its thin side faces the cabinet
# the bowl's rim on its +x side (on the others the hand meets the rack), from its origin. A bowl is round: its yaw is no matter
_RIM = np.array([0.048, 0.0, 0.030])
_IN_HAND = 0.06  # m at most between there and the grip site; in the hand the bowl tilts until its wall is flush with the fingers
# where the bowl's origin belongs, from the region's centre: between the drawer's front and the handles above, which leave
# it 4 mm, and with room for the open finger on its right
_SPOT = np.array([-0.02, -0.023, -0.02])
_ABOVE = 0.07  # m above the spot at which the bowl comes over the front: its rim between two handles, free to overshoot
_DEEP = 0.015  # m above the spot at which the bowl is among the drawer's walls
_CLEAR = 0.25  # m above the spot: the open hand is out of the drawer, and the elbow not yet straight
_PUSH_HEIGHT = 0.04  # m above the cabinet's bottom
_UPRIGHT, _TILTED = 10.0, 40.0  # degrees, the hand leaning back from the cabinet
_TILT_WITHIN = 0.10  # m of advance


def into_drawer(op: Operator, name: str, region: str) -> None:
    """The bowl into the open drawer, held at its rim. Raises EpisodeOver for one that no longer stands upright."""
    if not op.scene.upright(name):
        raise EpisodeOver(False, f"{name} fell over")

    def rim() -> np.ndarray:
        return op.scene.position(name) + _RIM

    def hand_for(above: float) -> Callable[[], np.ndarray]:
        """The bowl's origin `above` its spot; stays where it is if the bowl is lost, not to run after it."""

        def target() -> np.ndarray:
            if np.linalg.norm(rim() - op.hand) > _IN_HAND:
                return op.hand
            return op.scene.site(region) + _SPOT + [0.0, 0.0, above] - (op.scene.position(name) - op.hand)

        return target

    rotation = pointing_down(_ACROSS)
    if grasp(op, rim, _ACROSS, hover=0.08, lift=0.22):
        for _ in range(3):  # jammed on the drawer's front or on a handle: rise and come again
            op.move(hand_for(_ABOVE), rotation, CLOSED, tolerance=0.008, limit=110)
            op.move(hand_for(0.0), rotation, CLOSED, tolerance=0.006, limit=40)
            if (op.scene.position(name) - op.scene.site(region) - _SPOT)[2] < _DEEP:
                break
        op.open()
        clear = op.scene.site(region)[2] + _SPOT[2] + _CLEAR
        op.move(np.array([*op.hand[:2], clear]), rotation, OPEN, tolerance=0.03, limit=25)


def close_drawer(op: Operator, region: str) -> None:
    """Push the drawer's front along +y with the closed hand, which tilts back as it advances.

    Straight down, the hand hits the handles of the drawers above and the forearm the cabinet's top; tilted from the
    start, the hand hits the wine rack behind it.
    """
    joint = region.removesuffix("_region") + "_level"
    x, bottom = op.scene.site(region)[0], op.scene.bounds(region.split("_bottom")[0])[0][2]
    front = op.scene.joint_bounds(joint)[0][1]
    start = np.array([x, front - 0.05, bottom + _PUSH_HEIGHT])
    op.move(start + [0.0, 0.0, 0.20], _leaning(_UPRIGHT), CLOSED, tolerance=0.02, limit=60)
    op.move(start, _leaning(_UPRIGHT), CLOSED, tolerance=0.012, limit=60)
    first = op.hand[1]
    for _ in range(90):
        if op.scene.holds("close", region) and op.scene.joint(joint) > 0.001:
            break
        lean = np.clip(_UPRIGHT + (op.hand[1] - first) / _TILT_WITHIN * (_TILTED - _UPRIGHT), _UPRIGHT, _TILTED)
        motion = op.toward(start)
        motion[1] = 0.6
        op.act(np.append(motion, op.turning_to(_leaning(lean))), CLOSED)
    op.move(op.hand + [0.0, -0.06, 0.03], op.scene.hand_rotation, CLOSED, tolerance=0.02, limit=25)


def _leaning(degrees: float) -> np.ndarray:
    return Rotation.from_euler("x", degrees, degrees=True).as_matrix() @ pointing_down(_ACROSS)
