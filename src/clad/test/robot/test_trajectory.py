"""Trajectories: continuous where one takes over from another, at rest at the end, no overshoot between points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clad.robot.trajectory import PEAK, Trajectory, knot_velocity, onward, rest_to_rest, standing
from clad.stamps import SECOND

PERIOD = 0.05
JOINTS = st.lists(st.floats(-3, 3), min_size=2, max_size=2).map(np.array)


def speed_at(trajectory: Trajectory, now: int, dt: int = 1000) -> np.ndarray:
    return (trajectory.sample(now + dt)[0] - trajectory.sample(now - dt)[0]) / (2 * dt / SECOND)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(JOINTS, JOINTS), min_size=1, max_size=6), st.integers(-20, 60))
def test_what_takes_over_begins_where_the_last_one_is_whenever_it_comes(targets, jitter_ms):
    trajectory, now = standing(np.zeros(2), 0), 10 * SECOND
    for position, velocity in targets:
        now += round(PERIOD * SECOND) + jitter_ms * 1_000_000 // 2
        after = onward(trajectory, now, position, velocity, period=PERIOD, stop_time=0.2)
        for a, b in zip(after.sample(now), trajectory.sample(now)):
            assert np.allclose(a, b, atol=1e-12)
        assert np.allclose(after.sample(now + round(PERIOD * SECOND))[0], position, atol=1e-9)
        assert (after.velocities[-1] == 0).all() and after.end == now + round((PERIOD + 0.2) * SECOND)
        trajectory = after


def test_the_way_to_rest_has_constant_deceleration():
    t = onward(standing(np.zeros(1), 0), 0, np.array([0.1]), np.array([2.0]), period=PERIOD, stop_time=0.2)
    start = round(PERIOD * SECOND)
    for part in (0.0, 0.25, 0.5, 0.9):
        seconds = part * 0.2
        position, velocity = t.sample(start + round(seconds * SECOND))
        assert velocity == pytest.approx(2.0 * (1 - part), abs=1e-6)
        assert position == pytest.approx(0.1 + 2.0 * seconds - 0.5 * 10.0 * seconds**2, abs=1e-6)
    for late in (t.end, t.end + SECOND):
        assert t.sample(late)[0] == pytest.approx(0.3) and (t.sample(late)[1] == 0).all()


def test_the_velocity_is_the_derivative_of_the_position():
    t = rest_to_rest(np.array([0.0, 1.0]), np.array([1.0, -0.5]), 0.7, 5 * SECOND)
    for now in np.linspace(t.start + SECOND // 10, t.end - SECOND // 10, 7).astype(int):
        assert np.allclose(t.sample(int(now))[1], speed_at(t, int(now)), atol=1e-4)


def test_a_long_motion_starts_and_ends_at_rest_and_peaks_at_the_given_speed():
    here, there = np.array([0.0, 1.0]), np.array([1.0, -1.0])
    t = rest_to_rest(here, there, 0.7, 0)
    assert np.allclose(t.positions[0], here) and np.allclose(t.positions[-1], there)
    assert np.allclose(t.velocities[[0, -1]], 0) and t.times[-1] == pytest.approx(PEAK * 2.0 / 0.7)
    speeds = [np.abs(t.sample(int(now))[1]).max() for now in np.linspace(t.start, t.end, 200)]
    assert max(speeds) == pytest.approx(0.7, rel=0.01)
    assert rest_to_rest(here, here, 0.7, 0).end > 0  # already there: a trajectory all the same


@settings(max_examples=200, deadline=None)
@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))
def test_between_knots_no_joint_overshoots(a, b, c):
    """Three points a period apart, with the velocity in the middle chosen by knot_velocity."""
    before, after = np.array([b - a]) / PERIOD, np.array([c - b]) / PERIOD
    t = Trajectory(
        start=0,
        times=np.array([0, PERIOD, 2 * PERIOD]),
        positions=np.array([[a], [b], [c]]),
        velocities=np.array([[0.0], knot_velocity(before, after), [0.0]]),
    )
    for first, last, offset in ((a, b, 0), (b, c, round(PERIOD * SECOND))):
        values = [t.sample(offset + i * round(PERIOD * SECOND) // 20)[0][0] for i in range(20)]
        low, high = min(first, last), max(first, last)
        assert low - 1e-9 <= min(values) and max(values) <= high + 1e-9


def test_equal_neighbours_make_their_velocity_and_a_turn_makes_a_stop():
    assert knot_velocity(np.array([2.0, 2.0, 2.0]), np.array([2.0, -1.0, 0.0])).tolist() == [2.0, 0.0, 0.0]
