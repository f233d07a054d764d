"""Stopped streams, jumping clocks and hanging cameras are seen; what only looks like them is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clad.robot.frozen import TRAVEL
from clad.stamps import SECOND
from clad_planner.vigilance import GRACE, JUMP, Vigilance

PERIOD = 50_000_000
HAND = np.zeros(3)


@pytest.fixture
def watch():
    return Vigilance(("agentview",), PERIOD)


def observe(watch, step: int, image: bytes, hand=HAND) -> str:
    return watch.completed(step * PERIOD, {"agentview": image}, np.asarray(hand, dtype=float))


def test_time_that_runs_backwards_or_ahead_is_told_until_it_is_right_again(watch):
    assert watch.stamped("joints", 10 * SECOND, 0.0) == ""
    assert watch.stamped("joints", 10 * SECOND, 0.1) == ""  # the same observation, sent again
    assert "ran backwards: joints is stamped 10.00 s before" in watch.stamped("joints", 0, 0.2)
    assert "jumped: joints is stamped 9.90 s ahead" in watch.stamped("joints", 20 * SECOND, 0.2)
    assert "ahead" in watch.stamped("joints", 30 * SECOND, 10.2)  # the clock stays wrong
    assert watch.clock_changed
    assert watch.stamped("joints", 10 * SECOND + PERIOD, 0.3) == ""
    assert not watch.clock_changed
    assert watch.stamped("pose", 0, 0.3) == ""  # another stream has a clock of its own


def test_an_episode_begins_with_any_stamp(watch):
    watch.stamped("joints", 100 * SECOND, 0.0)
    watch.begin()
    assert watch.stamped("joints", SECOND, 0.1) == ""


@settings(deadline=None, database=None, max_examples=60)
@given(steps=st.lists(st.tuples(st.integers(0, 10), st.floats(0, 1)), max_size=30))
def test_a_clock_that_follows_the_wall_is_never_suspected(steps):
    watch, stamp, steady = Vigilance(("agentview",), PERIOD), 0, 0.0
    for periods, late in steps:
        stamp += periods * PERIOD
        steady += max(periods * PERIOD / SECOND - JUMP + 0.01, 0) + late
        assert watch.stamped("joints", stamp, steady) == ""


def test_a_frozen_camera_is_told_once_the_hand_has_moved(watch):
    assert observe(watch, 0, b"a") == ""
    assert observe(watch, 1, b"a", [0, 0, TRAVEL * 0.9]) == ""
    assert "agentview is frozen" in observe(watch, 2, b"a", [0, 0, TRAVEL * 1.1])
    assert observe(watch, 3, b"b", [0, 0, 0.1]) == ""
    assert observe(watch, 4, b"b", [0, 0, 0.1]) == ""  # nothing moves, nothing changes


def test_equal_images_before_and_after_a_reset_are_no_fault(watch):
    observe(watch, 0, b"a")
    watch.begin()
    assert observe(watch, 9, b"a", [1, 0, 0]) == ""


def joints(watch, step: int) -> None:
    assert watch.stamped("joints", step * PERIOD, step * PERIOD / SECOND) == ""


def overdue(watch, step: int, later: float = 0.0) -> bool:
    """At the time of a control step, and a share of a control period later."""
    return watch.overdue((step + later) * PERIOD / SECOND)


def test_an_observation_is_overdue_when_another_stream_has_had_it_for_a_while_or_has_the_next(watch):
    joints(watch, 99)  # before the first observation there is nothing to wait for
    assert not overdue(watch, 200)
    watch.begin()
    for step in range(4):
        joints(watch, step)
        observe(watch, step, bytes([step]))
    assert not overdue(watch, 3, later=5.0)  # every stream has stopped: nobody says that anything is due
    joints(watch, 4)
    assert not overdue(watch, 4, later=GRACE * 0.9)
    assert overdue(watch, 4, later=GRACE * 1.1)
    joints(watch, 5)
    assert overdue(watch, 5)
    observe(watch, 5, b"at last")
    assert not overdue(watch, 5)


def test_stamps_that_jitter_make_no_observation_overdue_nor_hide_one_that_is(watch):
    jitter = [0, 2_000_000, -2_000_000, 1_000_000, -1_000_000]
    stamps = [step * PERIOD + jitter[step % 5] + 10**9 for step in range(20)]
    for i, stamp in enumerate(stamps):
        assert watch.stamped("joints", stamp, stamp / SECOND) == ""
        assert not watch.overdue(stamp / SECOND), i
        watch.completed(stamp, {"agentview": bytes([i])}, HAND)
    missed = stamps[-1] + PERIOD - 3_000_000
    assert watch.stamped("joints", missed, missed / SECOND) == ""
    assert watch.overdue((missed + GRACE * 1.1 * PERIOD) / SECOND)


def test_slow_cameras_are_waited_for_as_long_as_they_usually_take(watch):
    for step in range(20):
        joints(watch, step)
        if step % 4 == 0:
            observe(watch, step, bytes([step]))
    assert not overdue(watch, 19, later=0.9)
    joints(watch, 20)
    assert not overdue(watch, 20)
    assert overdue(watch, 20, later=GRACE * 1.1)


def test_pictures_that_are_always_late_are_waited_for_and_a_stop_is_still_seen(watch):
    """A camera three periods behind the joints, at every second step; after step 40 it hangs."""
    for step in range(48):
        watch.stamped("joints", step * PERIOD, step * PERIOD / SECOND)
        taken = step - 3
        if taken >= 0 and taken % 2 == 0 and taken <= 40:
            observe(watch, taken, bytes([taken]))
        if 10 < step < 45:
            assert not overdue(watch, step, later=0.9), step
    assert overdue(watch, 47)
