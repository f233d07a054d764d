"""Objects into the basket: LIBERO-10 tasks 0, 1, 7 and the LIBERO-Object suite."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clad.sim.expert.operator import CLOSED, OPEN, Operator, pointing_down
from clad.sim.expert.skills import choose_top_grasp, grasp

_BASKET, _REGION = "basket_1", "basket_1_contain_region"


def into_basket(op: Operator, name: str, region: str) -> None:
    """One attempt to bring the object into the basket, to the side that the task's other objects leave free."""
    others = [goal[1] for goal in op.scene.goals if goal[-1] == region and goal[1] != name]
    _bring(op, name, others)


def _bring(op: Operator, name: str, others: list[str]) -> None:
    low, _ = op.scene.bounds(name)
    basket_low, basket_high = op.scene.bounds(_BASKET)
    region = op.scene.site(_REGION)
    within_walls = low[2] > basket_low[2] + 0.02 and np.all(np.abs(op.scene.position(name) - region)[:2] < 0.09)
    grip = choose_top_grasp(op, name, among_neighbours=not within_walls)

    def point() -> np.ndarray:
        low, high = op.scene.bounds(name)
        centre = (low + high) / 2
        return np.array([*(centre[:2] + grip.offset), max(high[2] - 0.025, low[2] + 0.012)])

    if not grasp(op, point, grip.yaw, hover=0.12, lift=0.22):
        return
    rotation = pointing_down(grip.yaw)
    aside = np.zeros(2)
    if others:  # keep to the free side of the basket
        other = op.scene.position(others[0])
        taken = np.all(np.abs(other - region)[:2] < 0.07)
        aside[0] = 0.036 if taken and other[0] <= region[0] else -0.036

    def hand_for(height: float) -> Callable[[], np.ndarray]:
        """Object's middle over the basket, its bottom `height` above the rim."""

        def target() -> np.ndarray:
            low, high = op.scene.bounds(name)
            middle = np.array([*((low + high) / 2)[:2], low[2]])
            return np.array([*(op.scene.site(_REGION)[:2] + aside), basket_high[2] + height]) - (middle - op.hand)

        return target

    op.move(hand_for(0.04), rotation, CLOSED, tolerance=0.015, limit=90)
    # lower only until the object's bottom is a little inside the rim: fingers must not touch the walls, nor the object
    # what lies in the basket already
    op.move(hand_for(0.0 if others else -0.015), rotation, CLOSED, tolerance=0.01, limit=40)
    op.open()
    op.move(op.hand + [0.0, 0.0, 0.10], rotation, OPEN, tolerance=0.03, limit=25)


def _inside(op: Operator, name: str) -> bool:
    region, (_, basket_high) = op.scene.site(_REGION), op.scene.bounds(_BASKET)
    position = op.scene.position(name)
    return bool(np.all(np.abs(position - region)[:2] < 0.06) and position[2] < basket_high[2] - 0.03)
