"""What keeps demonstrations from being a single narrow track: action noise, kicks, and mistakes on purpose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_AXES = np.array([1.0, 1.0, 1.0, 0.35, 0.35, 0.35])  # rotations are disturbed less: they are slow to come back
_CORRELATION = 0.9
_WHITE = 0.12


class ActionNoise:
    """White plus first-order autoregressive noise on the six motion axes; the gripper stays exact.

    A correlated part pushes the arm off its track for a while, so that the (clean) labels show how to come back.
    15 % of the episodes are clean.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        clean = rng.random() < 0.15
        self.white = 0.0 if clean else _WHITE
        self.drift = 0.0 if clean else float(rng.uniform(0.05, 0.15))
        self._rng, self._state = rng, np.zeros(6)

    def __call__(self, action: np.ndarray) -> np.ndarray:
        """The native action (7,) as it will be executed."""
        self._state = _CORRELATION * self._state + np.sqrt(1 - _CORRELATION**2) * self._rng.normal(size=6)
        executed = action.copy()
        executed[:6] += _AXES * (self.white * self._rng.normal(size=6) + self.drift * self._state)
        return np.clip(executed, -1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kick:
    """The arm is carried off: `steps` control steps of the native motion (6,) from step `start` on."""

    start: int
    steps: int
    motion: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishaps:
    """What goes wrong in an episode. Every such step is marked as not worth imitating, the recovery after it is.

    kicks: by step. early_close: the gripper closes above the object, and the hand carries nothing.
    off_target: (2,) metres by which a first insertion misses its slot; None for none.
    """

    kicks: tuple[Kick, ...] = ()
    early_close: bool = False
    off_target: np.ndarray | None = None


def sample_mishaps(rng: np.random.Generator) -> Mishaps:
    """A quarter of the episodes start displaced; a quarter hold one of: a later kick, an early close, a missed slot."""
    kicks, early, off = [], False, None
    if rng.random() < 0.25:
        kicks.append(_kick(rng, start=0, longest=10))
    if rng.random() < 0.25:
        kind = rng.integers(3)
        if kind == 0:
            kicks.append(_kick(rng, start=int(rng.integers(12, 120)), longest=7))
        elif kind == 1:
            early = True
        else:
            angle = rng.uniform(0, 2 * np.pi)
            off = rng.uniform(0.02, 0.04) * np.array([np.cos(angle), np.sin(angle)])
    return Mishaps(kicks=tuple(kicks), early_close=early, off_target=off)


def _kick(rng: np.random.Generator, start: int, longest: int) -> Kick:
    direction = rng.normal(size=3) * (1.0, 1.0, 0.6)
    motion = np.zeros(6)
    motion[:3] = direction / np.linalg.norm(direction) * rng.uniform(0.4, 1.0)
    motion[5] = rng.uniform(-0.25, 0.25)
    return Kick(start=start, steps=int(rng.integers(4, longest + 1)), motion=motion)
