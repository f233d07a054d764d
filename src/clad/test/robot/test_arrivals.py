"""A stream that stops is late one allowance after its next message was due, whatever its pace; none that keeps it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clad.robot.arrivals import FEWEST, Arrivals

MS = 10**6
PERIOD = 50 * MS


def heard(interval: int, count: int, jitter=lambda i: 0) -> tuple[Arrivals, int]:
    """Arrivals of one stream with that many messages, and when the last one came."""
    arrivals = Arrivals(["camera"], PERIOD)
    for i in range(count):
        arrivals.note("camera", i * interval, i * interval + jitter(i))
    return arrivals, (count - 1) * interval


@given(interval=st.integers(MS, 500 * MS), count=st.integers(FEWEST, 40))
def test_late_one_allowance_after_it_was_due_and_not_before(interval, count):
    arrivals, last = heard(interval, count)
    assert arrivals.late(last + interval + PERIOD) == ""
    assert "camera is late: nothing for" in arrivals.late(last + interval + PERIOD + 1)
    arrivals.note("camera", last + interval, last + interval + PERIOD + 1)
    assert arrivals.late(last + interval + PERIOD + 1) == ""


@given(st.lists(st.integers(0, PERIOD), min_size=FEWEST, max_size=40))
def test_delays_up_to_the_allowance_are_not_late(delays):
    arrivals = Arrivals(["camera"], PERIOD)
    for i, delay in enumerate(delays):
        arrivals.note("camera", i * PERIOD, i * PERIOD + delay)
        assert arrivals.late((i + 1) * PERIOD + PERIOD) == ""


def test_what_was_handled_in_one_burst_does_not_change_the_pace():
    arrivals, last = heard(PERIOD, 9)
    for i in range(9, 14):
        arrivals.note("camera", i * PERIOD, 14 * PERIOD)
    assert arrivals.late(15 * PERIOD + PERIOD) == "" != arrivals.late(16 * PERIOD + 1)


def test_a_stream_that_is_hardly_known_is_not_judged_and_one_that_nobody_knows_is_refused():
    arrivals, last = heard(PERIOD, FEWEST - 1)
    assert arrivals.late(10**12) == "" and "camera" in arrivals and "other" not in arrivals
    with pytest.raises(KeyError):
        arrivals.note("other", 0, 0)
