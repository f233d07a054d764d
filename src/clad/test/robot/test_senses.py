"""Observations made of streams that each come in their own time."""

from __future__ import annotations

import numpy as np
import pytest

from clad.contract import load_contract
from clad.robot.senses import Senses

FAKE = load_contract("fake")
MS = 1_000_000
DOWN = np.array([1.0, 0.0, 0.0, 0.0])


def state(senses: Senses, ms: int, value: float | None = None) -> None:
    value = ms / 1000 if value is None else value
    senses.joints(ms * MS, np.full(8, value), np.full(8, -value))
    senses.pose(ms * MS, np.full(3, value), DOWN)


def picture(senses: Senses, camera: str, ms: int, shade: int = 0) -> bool:
    return senses.picture(camera, ms * MS, np.full((240, 320, 3), shade, dtype=np.uint8))


@pytest.fixture
def senses() -> Senses:
    return Senses(FAKE)


def test_an_observation_is_of_the_first_cameras_instant(senses):
    for ms in (100, 110, 120, 130):
        state(senses, ms)
    picture(senses, "wrist", 90, 1)
    picture(senses, "wrist", 121, 2)
    picture(senses, "agentview", 115, 3)
    instant = senses.look()
    assert instant.stamp == 115 * MS
    observation = instant.observation
    assert np.allclose(observation.joint_position, 0.115) and np.allclose(observation.joint_velocity, -0.115)
    assert np.allclose(observation.gripper_position, 0.115) and np.allclose(instant.finger_velocity, -0.115)
    assert np.allclose(observation.ee_position, 0.115) and np.allclose(observation.ee_quaternion, DOWN)
    assert {c: i[0, 0, 0] for c, i in observation.images.items()} == {"agentview": 3, "wrist": 2}
    assert all(i.shape == (128, 128, 3) for i in observation.images.values())
    assert senses.look() is None  # told once


def test_it_waits_for_what_belongs_to_it(senses):
    state(senses, 100)
    picture(senses, "agentview", 105)
    assert senses.look() is None  # no state at 105 yet, and no other camera
    state(senses, 110)
    assert senses.look() is None
    picture(senses, "wrist", 105 + 26)  # more than half a control period away
    assert senses.look() is None
    picture(senses, "wrist", 105 + 27)
    picture(senses, "agentview", 130)
    state(senses, 131)
    assert senses.look().stamp == 130 * MS


def test_the_newest_complete_one_is_taken_even_if_a_newer_picture_waits(senses):
    for ms in (100, 120):
        state(senses, ms)
    for camera in ("agentview", "wrist"):
        picture(senses, camera, 110)
        picture(senses, camera, 150)
    assert senses.look().stamp == 110 * MS
    state(senses, 160)
    assert senses.look().stamp == 150 * MS


def test_without_pictures_the_state_is_told_and_late_pictures_still_count(senses):
    for ms in (100, 110, 120):
        state(senses, ms)
    felt = senses.feel()
    assert felt.stamp == 120 * MS and felt.observation.images == {} and senses.feel() is None
    for camera in ("agentview", "wrist"):
        picture(senses, camera, 105)
    assert senses.look().stamp == 105 * MS


def test_what_comes_out_of_order_is_dropped_and_said(senses):
    state(senses, 100)
    assert not senses.joints(90 * MS, np.ones(8), np.ones(8)) and not senses.pose(100 * MS, np.ones(3), DOWN)
    assert picture(senses, "wrist", 50) and not picture(senses, "wrist", 50)
    assert senses.measured().joint_position[0] == pytest.approx(0.1)


def test_measured_is_as_old_as_its_older_half(senses):
    assert senses.measured() is None
    assert senses.missing() == ["joint_states", "ee_pose", "agentview", "wrist"]
    senses.joints(100 * MS, np.zeros(8), np.zeros(8))
    assert senses.measured() is None
    senses.pose(70 * MS, np.zeros(3), DOWN)
    assert senses.measured().stamp == 70 * MS and senses.measured().joint_position.shape == (6,)
    picture(senses, "wrist", 1)
    assert senses.missing() == ["agentview"]


def test_a_quaternion_that_changes_sign_is_interpolated_the_short_way(senses):
    senses.joints(0, np.zeros(8), np.zeros(8))
    senses.joints(10 * MS, np.zeros(8), np.zeros(8))
    senses.pose(0, np.zeros(3), DOWN)
    senses.pose(10 * MS, np.zeros(3), -DOWN)
    for camera in ("agentview", "wrist"):
        picture(senses, camera, 5)
    assert abs(senses.look().observation.ee_quaternion @ DOWN) == pytest.approx(1.0)
