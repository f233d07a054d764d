"""What the model is told of the past, by control step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clad.errors import CladError
from clad.runtime.history import History

TAU = 6
HOLD = np.array([0, 0, -1], dtype=np.float32)


def vector(step):
    return np.array([step], dtype=np.float32)


def action(step):
    return np.full(3, step + 100, dtype=np.float32)


def run(history, last, every=1):
    """Observe at multiples of `every`, execute in between, up to the observation of step `last`."""
    for step in range(last + 1):
        if step % every == 0:
            history.observe(step, vector(step), -vector(step))
        if step < last:
            history.execute(step, action(step))


@given(every=st.sampled_from([1, 2, 3, 6]), chunks=st.integers(0, 12))
def test_the_past_is_exact_whenever_execute_steps_divides_tau(every, chunks):
    history, now = History(horizon=TAU, hold=HOLD), every * chunks
    run(history, now, every)
    past = history.past()
    assert past.fallback == ""
    assert past.proprio == max(now - TAU, 0) and past.visual == -max(now - TAU, 0)
    for row, step in zip(past.actions, range(now - TAU, now), strict=True):
        assert np.array_equal(row, action(step) if step >= 0 else HOLD)


def test_at_the_first_observation_it_stands_for_itself_and_hold_for_all_actions():
    history = History(horizon=TAU, hold=HOLD)
    history.observe(0, vector(7), vector(8))
    past = history.past()
    assert past.proprio == 7 and past.visual == 8 and past.fallback == ""
    assert np.array_equal(past.actions, np.tile(HOLD, (TAU, 1)))


def test_a_missing_observation_is_replaced_by_the_nearest_earlier_and_named():
    history = History(horizon=TAU, hold=HOLD)
    for step in (0, 3, 5, 12):
        history.observe(step, vector(step), vector(step))
    past = history.past()
    assert past.proprio == 5
    assert "observation of step 6 missing, step 5 stands in" in past.fallback


def test_a_missing_observation_with_nothing_earlier_is_replaced_by_the_nearest_later_and_named():
    history = History(horizon=TAU, hold=HOLD)
    for step in (20, 22):
        history.observe(step, vector(step), vector(step))
    assert history.past().proprio == 20 and "step 16 missing, step 20" in history.past().fallback


def test_a_late_joiner_knows_that_it_missed_the_start():
    history = History(horizon=TAU, hold=HOLD)
    history.observe(3, vector(3), vector(3))
    assert "observation of step 0 missing, step 3 stands in" in history.past().fallback


def test_a_lost_action_is_named_and_hold_stands_in():
    history = History(horizon=TAU, hold=HOLD)
    for step in range(9):
        history.observe(step, vector(step), vector(step))
        if step not in (4, 8):
            history.execute(step, action(step))
    past = history.past()
    assert past.fallback == "executed action of step 4 missing, hold stands in"
    assert np.array_equal(past.actions[2], HOLD) and np.array_equal(past.actions[3], action(5))


def test_the_same_step_again_changes_nothing_and_an_earlier_one_is_refused():
    history = History(horizon=TAU, hold=HOLD)
    run(history, 9)
    before = history.past()
    history.observe(9, vector(9), -vector(9))
    assert np.array_equal(history.past().actions, before.actions) and history.past().proprio == before.proprio
    with pytest.raises(CladError, match="step 8 came after one of step 9"):
        history.observe(8, vector(8), vector(8))


def test_memory_stays_bounded():
    history = History(horizon=TAU, hold=HOLD)
    run(history, 500)
    assert len(history._observed) <= 2 * TAU + 1 and len(history._executed) <= 2 * TAU + 1
