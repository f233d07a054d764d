"""Figures of motion against the same written out step by step, and against motions whose figures are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clad.contract import load_contract
from clad.eval.motion import commanded_steps, groups, hold_time, inner_jumps, jerk, motion_report, seam_jumps

DT = 0.05
SPEC = load_contract("libero").action


def random(shape, seed):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


@given(seed=st.integers(0, 999), chunks=st.lists(st.integers(0, 3), min_size=2, max_size=30))
def test_seams_by_brute_force(seed, chunks):
    steps = random((len(chunks), 3), seed)
    position, velocity = [], []
    for t in range(1, len(chunks)):
        if chunks[t] != chunks[t - 1]:
            position.append(math.dist(steps[t], [0, 0, 0]))
            velocity.append(math.dist(steps[t] / DT, steps[t - 1] / DT))
    found = seam_jumps(steps, chunks, DT)
    np.testing.assert_allclose(found.position, position)
    np.testing.assert_allclose(found.velocity, velocity)


@given(seed=st.integers(0, 999), lengths=st.lists(st.integers(1, 8), max_size=6))
def test_within_chunks_by_brute_force(seed, lengths):
    chunks = [random((n, 2), [seed, i]) for i, n in enumerate(lengths)]
    found = inner_jumps(chunks, DT)
    np.testing.assert_allclose(found.position, [math.hypot(*row) for c in chunks for row in c[1:]])
    np.testing.assert_allclose(found.velocity, [math.dist(a, b) / DT for c in chunks for a, b in zip(c, c[1:])])


def test_jerk_of_a_cubic_is_its_third_derivative():
    t = np.arange(20) * DT
    path = np.stack([2 * t**3, -(t**3) + 5 * t**2, np.zeros_like(t)], axis=1)
    np.testing.assert_allclose(jerk(path, DT), math.hypot(12, 6), rtol=1e-6)


@given(seed=st.integers(0, 999))
def test_every_representation_of_one_motion_has_the_same_steps(seed):
    steps = random((12, 3), seed)
    steps[0] = 0  # an absolute target does not say where the motion came from
    np.testing.assert_allclose(commanded_steps(steps, "OSC_POSE_DELTA", DT), steps)
    np.testing.assert_allclose(commanded_steps(steps / DT, "EE_TWIST", DT), steps)
    np.testing.assert_allclose(commanded_steps(np.cumsum(steps, axis=0) + 7, "JOINT_POSITION", DT), steps, atol=1e-12)


def test_hold_time_is_told_by_reason():
    assert hold_time(["", "late", "late", "", "none", "late"], 0.5) == {"late": 1.5, "none": 0.5}
    assert hold_time(["", ""], 0.5) == {}


def test_units_are_not_mixed_and_the_gripper_is_left_out():
    assert groups(SPEC) == {"m": [0, 1, 2], "rad": [3, 4, 5]}


def test_a_report_tells_smooth_joins_from_rough_ones():
    """A sine cut into chunks: joined as it is the ratio is 1; with every second chunk turned round it is large."""
    motion = np.zeros((60, 7))
    motion[:, 0] = 0.01 * np.sin(np.arange(60) / 5)
    motion[:, 4] = 0.1 * np.cos(np.arange(60) / 7)
    motion[:, 6] = np.where(np.arange(60) % 12 < 6, 1, -1)  # the gripper at every join
    chunks, planned = np.repeat(np.arange(1, 11), 6), motion.reshape(10, 6, 7)
    smooth = motion_report(motion, chunks, planned, SPEC, DT)
    rough = motion * np.where(chunks % 2, 1, -1)[:, None]
    rough = motion_report(rough, chunks, rough.reshape(10, 6, 7), SPEC, DT)
    for unit in ("m", "rad"):
        assert smooth[f"seam_velocity_{unit}_ratio"] == pytest.approx(1, abs=0.1)
        assert rough[f"seam_velocity_{unit}_ratio"] > 3
        assert rough[f"within_velocity_{unit}_p99"] == pytest.approx(smooth[f"within_velocity_{unit}_p99"])
        assert rough[f"jerk_{unit}_p99"] > 3 * smooth[f"jerk_{unit}_p99"]
    moves = np.abs(np.diff(motion[:, 0]))[5::6] / DT
    assert smooth["seam_velocity_m_p99"] == pytest.approx(np.percentile(moves, 99))


def test_a_stop_between_chunks_is_a_seam():
    motion = np.full((12, 7), 0.02)
    motion[4:8, :6] = 0
    report = motion_report(motion, [1] * 4 + [0] * 4 + [2] * 4, [motion[:4], motion[8:]], SPEC, DT)
    assert report["seam_velocity_m_p50"] == pytest.approx(0.02 * math.sqrt(3) / DT)
    assert report["within_velocity_m_p99"] == 0 and report["seam_velocity_m_ratio"] == math.inf


def test_absolute_targets_and_deltas_of_one_motion_have_one_report():
    deltas = random((12, 7), 3) * 0.01
    deltas[0, :6] = 0
    targets = np.cumsum(deltas, axis=0)
    chunks = [1] * 6 + [2] * 6
    found = motion_report(
        targets, chunks, [targets[:6], targets[6:]], replace(SPEC, representation="JOINT_POSITION"), DT
    )
    expected = motion_report(deltas, chunks, [deltas[1:6], deltas[7:]], SPEC, DT)
    assert found == pytest.approx(expected)


def test_nothing_joined_is_no_number():
    report = motion_report(np.zeros((3, 7)), [1, 1, 1], [], SPEC, DT)
    assert all(math.isnan(v) for v in report.values())
