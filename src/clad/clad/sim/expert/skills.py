"""Grasping and placing, with deliberate recovery: check the result, and on failure open, rise and try again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clad.sim.expert.operator import CLOSED, OPEN, Operator, pointing_down

_UP = np.array([0.0, 0.0, 1.0])
# footprint of the hand about the grip site: the palm is 20 x 6 cm and only 3 cm above it; fingers at +-5 cm
_PALM = np.stack(np.meshgrid(np.linspace(-0.105, 0.105, 15), np.linspace(-0.034, 0.034, 5)), -1).reshape(-1, 2)
_FINGERS = np.array([[s * (0.05 + a), b] for s in (-1, 1) for a in (-0.012, 0, 0.012) for b in (-0.012, 0, 0.012)])
_WIDEST = 0.068  # m that fit between the fingers with room to spare


def grasp(op: Operator, point: Callable[[], np.ndarray], yaw: float, *, hover: float, lift: float) -> bool:
    """Grip what is at `point()` (3,) from above and lift it. Returns whether it came along; else the hand is open.

    With an early close among the episode's mishaps, the first attempt closes above the object and lifts nothing.
    """
    rotation = pointing_down(yaw)
    op.move(lambda: point() + hover * _UP, rotation, OPEN, tolerance=0.012)
    if op.take_early_close():
        _close_early(op, point, rotation)
        return False
    op.move(point, rotation, OPEN, tolerance=0.006, limit=60)
    if not op.close():
        _reopen(op, rotation)
        return False
    height, start = point()[2], op.hand
    op.move(start + lift * _UP, rotation, CLOSED, tolerance=0.03)
    if point()[2] - height > 0.5 * lift:  # the fingers do not tell: on a bowl's thin wall they seem empty
        return True
    _reopen(op, rotation)
    return False


def _close_early(op: Operator, point: Callable[[], np.ndarray], rotation: np.ndarray) -> None:
    aside = np.append(op.rng.uniform(-0.015, 0.015, 2), op.rng.uniform(0.045, 0.065))
    with op.mistake():
        op.move(lambda: point() + aside, rotation, OPEN, tolerance=0.012)
        op.close()
        away = op.rng.uniform((-0.08, -0.05, 0.02), (0.0, 0.05, 0.12))  # towards the base: never a straight arm
        op.move(op.hand + away, rotation, CLOSED, tolerance=0.02)
    _reopen(op, rotation)


def _reopen(op: Operator, rotation: np.ndarray) -> None:
    """After an empty or lost grasp: open, and rise a little so that nothing is pushed on the way back."""
    op.open()
    op.move(op.hand + 0.03 * _UP, rotation, OPEN, tolerance=0.02, limit=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopGrasp:
    """Where to grip an object from above: yaw (rad) and offset (2,) from its centre, height (m); cost 0 is free."""

    yaw: float
    offset: np.ndarray
    height: float
    cost: float


def choose_top_grasp(op: Operator, name: str, *, among_neighbours: bool = True) -> TopGrasp:
    """The yaw and offset along the long side at which neither hand nor fingers hit a neighbour.

    Closes along the shorter horizontal side. among_neighbours False: straight, for an object that stands inside walls.
    """
    low, high = op.scene.bounds(name)
    size, centre = high - low, (low + high) / 2
    height = max(high[2] - 0.025, low[2] + 0.012)
    base = 0.0 if size[1] <= size[0] + 0.005 else np.pi / 2
    best = TopGrasp(yaw=base, offset=np.zeros(2), height=height, cost=99.0)  # too wide at every yaw: try anyway
    if not among_neighbours:
        return best
    others = [op.scene.bounds(other) for other in op.scene.objects if other != name]
    along = np.array([np.cos(base), np.sin(base)])
    reach = max(0.0, size[:2].max() / 2 - 0.012)
    for turn in np.radians([0, 15, -15, 30, -30, 45, -45]):
        if size[:2].min() / np.cos(turn) > _WIDEST:
            continue
        for shift in np.linspace(-1, 1, 9) * reach:
            yaw = base + turn
            fingers = np.array([-np.sin(yaw), np.cos(yaw)])
            frame = np.stack([fingers, [fingers[1], -fingers[0]]])
            cost = 0.5 * abs(turn) + 4 * abs(shift)
            for footprint, bottom in ((_PALM, height + 0.022), (_FINGERS, height - 0.012)):
                world = centre[:2] + shift * along + footprint @ frame
                for other_low, other_high in others:
                    if other_high[2] >= bottom:
                        hit = (world > other_low[:2] - 0.004) & (world < other_high[:2] + 0.004)
                        cost += 10 * np.mean(hit.all(axis=1))
            if cost < best.cost:
                best = TopGrasp(yaw=yaw, offset=shift * along, height=height, cost=cost)
    return best
