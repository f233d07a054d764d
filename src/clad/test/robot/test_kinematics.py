"""The arm's model against its maker's Denavit-Hartenberg table, and inverse kinematics against forward."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from clad.contract import load_contract
from clad.errors import CladError
from clad.robot.arms import arm
from clad.robot.kinematics import NEAR, Kinematics, load_kinematics
from clad.robot.pose import limited, motion_between, moved

FAKE = load_contract("fake")
ARM = load_kinematics(FAKE)
HOME = np.array(FAKE.driver.home)
# Universal Robots, UR5e: a, d in m, alpha in rad
DH = list(
    zip(
        [0.0, -0.425, -0.3922, 0.0, 0.0, 0.0],
        [0.1625, 0.0, 0.0, 0.1333, 0.0997, 0.0996],
        [np.pi / 2, 0.0, 0.0, np.pi / 2, -np.pi / 2, 0.0],
    )
)


def denavit_hartenberg(joints) -> np.ndarray:
    pose = np.eye(4)
    for (a, d, alpha), q in zip(DH, joints):
        ct, st_, ca, sa = np.cos(q), np.sin(q), np.cos(alpha), np.sin(alpha)
        pose = pose @ [
            [ct, -st_ * ca, st_ * sa, a * ct],
            [st_, ct * ca, -ct * sa, a * st_],
            [0, sa, ca, d],
            [0, 0, 0, 1],
        ]
    return pose


@pytest.mark.parametrize("seed", range(10))
def test_forward_agrees_with_the_makers_table(seed):
    joints = np.random.default_rng(seed).uniform(-3, 3, 6)
    position, quaternion = ARM.forward(joints)
    expected = denavit_hartenberg(joints)
    assert np.allclose(position, expected[:3, 3], atol=4e-3)  # robosuite's link lengths are rounded to mm
    assert np.allclose(Rotation.from_quat(quaternion).as_matrix(), expected[:3, :3], atol=1e-4)


def test_home_is_over_the_table_with_the_hand_down():
    position, quaternion = ARM.forward(HOME)
    assert 0.3 < position[2] < 0.5 and 0.3 < position[0] < 0.6
    assert np.allclose(Rotation.from_quat(quaternion).apply([0, 0, 1]), [0, 0, -1], atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6))
def test_inverse_undoes_forward_for_steps_that_a_chunk_makes(values):
    motion = np.array(values) * ([0.03] * 3 + [0.15] * 3)
    goal = moved(*ARM.forward(HOME), motion)
    solution = ARM.inverse(*goal, HOME)
    assert solution.distance < 1e-5 and solution.angle < 1e-5
    assert np.allclose(motion_between(*ARM.forward(solution.joints), *goal), 0, atol=1e-5)
    assert np.abs(solution.joints - HOME).max() < NEAR


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-7, 7), min_size=6, max_size=6),
    st.lists(st.floats(-5, 5), min_size=3, max_size=3),
)
def test_out_of_reach_the_joints_stay_near_and_in_range(joints, position):
    solution = ARM.inverse(np.array(position), np.array([1.0, 0, 0, 0]), np.array(joints))
    limit = np.array([2 * np.pi + 1e-4] * 6)  # the model rounds pi
    limit[2] = np.pi + 1e-4
    assert np.isfinite(solution.joints).all() and (np.abs(solution.joints) <= limit).all()
    assert np.abs(solution.joints - np.clip(joints, -limit, limit)).max() <= NEAR + 1e-3


def test_what_the_model_lacks_is_named(tmp_path):
    model = arm("ur5e").compile()
    with pytest.raises(CladError, match="fr3_joint1"):
        Kinematics(model, ["fr3_joint1"], "tool0")
    with pytest.raises(CladError, match="no site or body 'hand'"):
        Kinematics(model, FAKE.joint_names, "hand")
    assert Kinematics(model, FAKE.joint_names, "wrist_3_link").forward(HOME)[0].shape == (3,)  # a body will do


def test_motions_are_along_the_base_frames_axes():
    quaternion = Rotation.from_euler("z", 90, degrees=True).as_quat()
    position, turned = moved(np.zeros(3), quaternion, np.array([1.0, 0, 0, np.pi / 2, 0, 0]))
    assert np.allclose(position, [1, 0, 0])
    assert np.allclose(Rotation.from_quat(turned).apply([1, 0, 0]), [0, 0, 1])  # first to y, then about base x to z
    assert np.allclose(motion_between(np.zeros(3), quaternion, position, turned), [1, 0, 0, np.pi / 2, 0, 0])


def test_a_limited_motion_keeps_its_direction():
    motion = np.array([3.0, 0, 4.0, 0, 0, 0.1])
    assert np.allclose(limited(motion, 1.0, 1.0), motion / 5)
    assert np.allclose(limited(motion, 100.0, 0.05), motion / 2)
    assert np.allclose(limited(motion, 100.0, 1.0), motion)


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-7, 1e-3, 0.5, 3.0, np.pi - 1e-6])
def test_the_turn_of_a_motion_is_scipys_rotation_vector(size):
    rng = np.random.default_rng(0)
    for _ in range(50):
        axis, first = rng.standard_normal(3), Rotation.random(rng=rng)
        then = Rotation.from_rotvec(size * axis / np.linalg.norm(axis)) * first
        sign, length = rng.choice([-1, 1]), rng.uniform(0.5, 2.0)
        found = motion_between(np.zeros(3), first.as_quat(), np.zeros(3), sign * length * then.as_quat())
        np.testing.assert_allclose(found[3:], (then * first.inv()).as_rotvec(), rtol=0, atol=1e-14)
