"""Turning the stove's knob."""

from __future__ import annotations

import numpy as np

from clad.sim.expert.operator import CLOSED, OPEN, Operator, pointing_down

_KNOB = np.array([0.0, 0.0, 0.035])  # the knob's bar, from the stove's origin: along x, 2.4 cm thick in y
_ON = 0.9  # rad of the knob's joint, beyond the threshold of LIBERO's predicate
_TURN_RATE = 0.35  # native action about the world's z


def turn_on(op: Operator, stove: str) -> None:
    """Grip the knob's bar from above and twist it about z until the stove is on."""
    rotation = pointing_down(0.0)
    knob = op.scene.position(stove) + _KNOB
    op.move(knob + [0.0, 0.0, 0.09], rotation, OPEN, tolerance=0.012)
    op.move(knob, rotation, OPEN, tolerance=0.006)
    if op.close():
        for _ in range(40):
            if op.scene.joint(f"{stove}_button") > _ON:
                break
            op.act(np.append(op.toward(knob), [0.0, 0.0, _TURN_RATE]), CLOSED)
    op.open()
    op.move(op.hand + [0.0, 0.0, 0.12], op.scene.hand_rotation, OPEN, tolerance=0.03, limit=25)
