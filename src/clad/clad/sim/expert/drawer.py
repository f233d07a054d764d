"""The cabinet's bottom drawer: the bowl into it, and closing it."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from clad.sim.expert.operator import CLOSED, Operator, pointing_down
from clad.sim.expert.placing import carry_to, grip_of
from clad.sim.expert.skills import grasp

_ACROSS = np.pi / 2  # hand turned so that its fingers open along x and its thin side faces the cabinet
_PUSH_HEIGHT = 0.04  # m above the cabinet's bottom
_UPRIGHT, _TILTED = 10.0, 40.0  # degrees, the hand leaning back from the cabinet
_TILT_WITHIN = 0.10  # m of advance


def into_drawer(op: Operator, name: str, region: str) -> None:
    """The object into the open drawer, gripped at the rim on the +x side: on the other sides the hand meets the rack."""
    point, yaw = grip_of(op, name)
    if grasp(op, point, yaw, hover=0.08, lift=0.22):
        carry_to(op, name, lambda: op.scene.site(region) + [-0.01, -0.01, -0.02], yaw, above=0.10, rise=0.20)


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
