"""Properties of chunk sampling."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clad.runtime.execution import TimedChunk, sample

NS = st.integers(0, 4 * 10**18)  # up to some 127 years in nanoseconds
STEPS = st.integers(1, 40)
DT = st.integers(1, 10**9)


def take(values, start, step_dt, now, valid_until):
    chunk = TimedChunk(values=values, start=start, step_dt=step_dt, valid_until=valid_until, obs_stamp=start, seq=1)
    return sample(chunk, now)


def values(steps):
    return np.arange(steps * 7, dtype=np.float32).reshape(steps, 7)


@given(start=NS, step_dt=DT, steps=STEPS, data=st.data())
def test_the_step_that_is_due_is_taken(start, step_dt, steps, data):
    index = data.draw(st.integers(0, steps - 1))
    now = start + index * step_dt + data.draw(st.integers(0, step_dt - 1))
    found = take(values(steps), start, step_dt, now, valid_until=now)
    assert (found.flag, found.index) == ("ok", index)
    assert np.array_equal(found.action, values(steps)[index])


@given(start=NS, step_dt=DT, steps=STEPS, now=NS, valid_until=NS)
def test_an_action_is_given_exactly_when_the_flag_is_ok(start, step_dt, steps, now, valid_until):
    found = take(values(steps), start, step_dt, now, valid_until)
    assert (found.action is not None) == (found.flag == "ok")
    if now > valid_until:
        assert found.flag == "expired"
    elif now < start:
        assert found.flag == "before_start" and found.index < 0
    elif now >= start + steps * step_dt:
        assert found.flag == "past_end" and found.index >= steps
    else:
        assert found.flag == "ok"
        assert start + found.index * step_dt <= now < start + (found.index + 1) * step_dt


@given(start=NS, step_dt=DT, steps=STEPS, times=st.lists(NS, min_size=2, max_size=2))
def test_later_never_means_an_earlier_step(start, step_dt, steps, times):
    early, late = (take(values(steps), start, step_dt, t, valid_until=2**63) for t in sorted(times))
    assert early.index <= late.index


def test_skips_steps_whose_time_is_over():
    """20 Hz, asked 120 ms after the start: step 2 is due; steps 0 and 1 are never executed late."""
    assert take(values(6), 10**9, 50_000_000, 10**9 + 120_000_000, 2 * 10**9).index == 2


def test_valid_until_is_the_last_moment():
    assert take(values(6), 0, 10, 25, valid_until=25).flag == "ok"
    assert take(values(6), 0, 10, 26, valid_until=25).flag == "expired"
