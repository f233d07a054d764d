"""Resetting: what upstream's own reset would swallow comes through."""

from types import SimpleNamespace

import pytest

from clad.errors import CladError
from clad.sim import scene

pytest.importorskip("robosuite", reason="LIBERO is not installed")


def env(*outcomes):
    """A ControlEnv whose resets end like this, one after the other; the last one again and again."""
    left = list(outcomes)

    def reset():
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if outcome is not None:
            raise outcome

    return SimpleNamespace(env=SimpleNamespace(reset=reset), seed=lambda seed: None, left=left)


def test_an_interrupt_or_a_fault_in_mid_reset_ends_it():
    for error in (KeyboardInterrupt(), FileNotFoundError("mesh")):
        with pytest.raises(type(error)):
            scene.load_exact(env(error, None), 0, None)


def test_objects_that_found_no_place_are_drawn_again_but_not_for_ever():
    from robosuite.utils.errors import RandomizationError

    lucky = env(RandomizationError(), RandomizationError(), None)
    scene.load_exact(lucky, 0, None)
    assert lucky.left == [None]
    with pytest.raises(CladError, match="no place"):
        scene.load_exact(env(RandomizationError()), 0, None)
