"""What a joint trajectory controller makes of what it is sent, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from clad.contract import load_contract
from clad.errors import CladError
from clad.robot.kinematics import load_kinematics
from clad.robot.pose import motion_between
from clad_fake_robot.controller import Controller

FAKE = load_contract("fake")
NAMES = FAKE.joint_names
HOME = np.array(FAKE.driver.home)
ARM = load_kinematics(FAKE)
MS = 1_000_000


@pytest.fixture
def controller():
    return Controller(NAMES, HOME, ARM, period=0.05, now=0)


def send(controller, positions, velocities, times, *, names=NAMES, stamp=0, now=0):
    controller.take_trajectory(names, positions, velocities, [t * MS for t in times], stamp=stamp, now=now)


def test_it_follows_the_points_and_stands_at_the_last(controller):
    there = HOME + 0.2
    send(controller, [HOME, there], [np.zeros(6)] * 2, [0, 100], now=1000 * MS)
    assert np.allclose(controller.reference(1050 * MS)[0], HOME + 0.1)
    assert np.allclose(controller.reference(1050 * MS)[1], 1.5 * 0.2 / 0.1)  # a cubic's peak
    for late in (1100 * MS, 9000 * MS):
        position, velocity = controller.reference(late)
        assert np.allclose(position, there) and not velocity.any()
    assert controller.largest_jump < 1e-12


def test_joints_in_another_order_are_found_by_name(controller):
    order = [5, 3, 1, 0, 2, 4]
    there = HOME + np.arange(6) / 100
    send(controller, [there[order]], [np.zeros(6)], [50], names=[NAMES[i] for i in order])
    assert np.allclose(controller.reference(50 * MS)[0], there)


def test_up_to_its_first_point_a_trajectory_is_joined_smoothly(controller):
    send(controller, [HOME + 0.1], [np.zeros(6)], [100])
    before = controller.reference(50 * MS)
    send(controller, [HOME], [np.zeros(6)], [200], now=50 * MS)
    after = controller.reference(50 * MS)
    assert np.allclose(before[0], after[0]) and np.allclose(before[1], after[1])
    assert np.allclose(controller.reference(250 * MS)[0], HOME) and controller.largest_jump < 1e-9


def test_a_trajectory_that_begins_elsewhere_is_a_jump_that_is_told(controller):
    send(controller, [HOME + 0.05, HOME], [np.zeros(6)] * 2, [0, 100])
    assert controller.largest_jump == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"names": NAMES[:5]}, "its joints are"),
        ({"names": (*NAMES[:5], "other")}, "its joints are"),
        ({"times": [50, 50]}, "do not increase"),
        ({"times": []}, "do not increase"),
        ({"positions": [HOME, HOME[:4]]}, "lacks a position"),
        ({"velocities": [np.zeros(6), []]}, "lacks a position or a velocity"),
        ({"positions": [HOME, HOME * np.nan]}, "not finite"),
        ({"velocities": [np.zeros(6), np.ones(6)]}, "does not end at rest"),
        ({"stamp": 1, "now": 10**10}, "ends in the past"),
    ],
)
def test_what_a_controller_would_refuse_is_refused_and_the_arm_stands(controller, changes, said):
    good = {"positions": [HOME, HOME + 0.1], "velocities": [np.zeros(6)] * 2, "times": [0, 50]}
    with pytest.raises(CladError, match=said):
        send(controller, **{**good, **changes})
    assert np.allclose(controller.reference(50 * MS)[0], HOME)


def test_poses_and_twists_move_the_hand(controller):
    position, quaternion = ARM.forward(HOME)
    controller.take_pose(position + [0.01, 0, 0], quaternion, 0)
    assert np.allclose(ARM.forward(controller.reference(50 * MS)[0])[0], position + [0.01, 0, 0], atol=1e-5)
    now, start = 10**9, ARM.forward(controller.reference(10**9)[0])
    for i in range(20):  # one second at 0.1 m/s and 0.2 rad/s
        controller.take_twist(np.array([0, 0.1, 0]), np.array([0, 0, 0.2]), now + i * 50 * MS)
    moved = motion_between(*start, *ARM.forward(controller.reference(now + 1000 * MS)[0]))
    assert np.allclose(moved, [0, 0.1, 0, 0, 0, 0.2], atol=2e-3)
    rest = controller.reference(now + 2000 * MS)
    assert not rest[1].any() and np.allclose(ARM.forward(rest[0])[0][1] - start[0][1], 0.105, atol=2e-3)
