"""Things set down on things: mugs on plates (LIBERO-10 task 4), moka pots on the stove (task 8)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clad.sim.expert.operator import CLOSED, OPEN, Operator, pointing_down
from clad.sim.expert.skills import grasp

# where to grip, from the body's origin. A mug (9-11 cm) is wider than the gripper's 8 cm, so one finger goes inside, at the
# wall away from the handle; a moka pot is taken by its lid.
_GRIPS = {
    "porcelain_mug_1": (0.0, -0.0565, 0.085),
    "white_yellow_mug_1": (0.0, 0.0605, 0.080),
    "moka_pot_1": (0.0, 0.001, 0.078),
    "moka_pot_2": (0.0, 0.001, 0.078),
}


def mugs_on_plates(op: Operator) -> None:
    """The white mug on the left plate, the yellow and white one on the right."""
    for mug, plate in (("porcelain_mug_1", "plate_1"), ("white_yellow_mug_1", "plate_2")):
        _set_down(op, mug, plate, lambda plate=plate: op.scene.position(plate) + [0.0, 0.0, 0.012], lift=0.18)


def pots_on_stove(op: Operator) -> None:
    """Both moka pots on the one burner, side by side."""
    region = "flat_stove_1_cook_region"
    for pot, beside in (("moka_pot_1", -0.045), ("moka_pot_2", 0.045)):
        _set_down(op, pot, region, lambda x=beside: op.scene.site(region) + [x, 0.02, 0.092], lift=0.13)


def _set_down(op: Operator, name: str, on: str, place: Callable[[], np.ndarray], *, lift: float) -> None:
    """Bring `name`, its body's origin, to `place()` (3,) unless it stands there already; up to 4 attempts."""
    rotation = pointing_down(0.0)

    def grip_point() -> np.ndarray:
        return op.scene.position(name) + _GRIPS[name]

    def hand_for(height: float) -> Callable[[], np.ndarray]:
        return lambda: place() + [0.0, 0.0, height] - (op.scene.position(name) - op.hand)

    for _ in range(4):
        if op.scene.holds("on", name, on):
            return
        if not grasp(op, grip_point, 0.0, hover=0.08, lift=lift):
            continue
        op.move(hand_for(0.06), rotation, CLOSED, tolerance=0.008, limit=110)
        op.move(hand_for(0.0), rotation, CLOSED, tolerance=0.006, limit=40)
        op.open()
        op.move(op.hand + [0.0, 0.0, 0.12], rotation, OPEN, tolerance=0.03, limit=25)
