"""The real-time factor is what was simulated over the wall time that it took, of late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clad.stamps import SECOND
from clad_sim_bridge.pace import SLOW, WINDOW, Pace

PERIOD = 50_000_000


@given(took=st.lists(st.floats(0.001, 0.5), min_size=1, max_size=200))
def test_it_is_the_simulated_over_the_wall_time_of_the_last_window(took):
    pace, walls = Pace(), [100.0]
    pace.note(100.0, 7 * SECOND)
    for n, wall in enumerate(took, 1):
        walls.append(walls[-1] + wall)
        pace.note(walls[-1], 7 * SECOND + n * PERIOD)
    begin = max((i for i, wall in enumerate(walls) if wall <= walls[-1] - WINDOW), default=None)
    if begin is None:
        assert pace.factor is None and not pace.lags(1e9)
    else:
        expected = (len(took) - begin) * PERIOD / SECOND / (walls[-1] - walls[begin])
        assert pace.factor == pytest.approx(expected)
        # never more than every period since then at the wall time that these took
        assert pace.factor <= PERIOD / SECOND / min(took[begin:]) * (1 + 1e-9)
        assert not pace.lags(expected) and pace.lags(1.01 * expected / SLOW)


def test_a_stall_shows_at_once_and_is_forgotten_after_a_window():
    pace, wall = Pace(), 0.0
    for n in range(400):
        wall += 1.0 if n == 200 else 0.05
        pace.note(wall, n * PERIOD)
        if n in (199, 399):
            assert pace.factor == pytest.approx(1.0) and not pace.lags(1.0)
        if n == 201:
            assert pace.factor < 0.7 and pace.lags(1.0) and not pace.lags(0.5)
