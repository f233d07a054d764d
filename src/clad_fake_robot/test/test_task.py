"""The block that is to be picked up: where it lies, when it counts as picked up, and that the expert can do it."""

from __future__ import annotations

import subprocess
import sys

import mujoco
import numpy as np
import pytest

from clad.contract import load_contract
from clad.data.sources import open_episodes
from clad.data.validate import require_valid
from clad_fake_robot.cameras import TestCards
from clad_fake_robot.demos import Rig, demonstrate
from clad_fake_robot.scene import fake_scene
from clad_fake_robot.task import AREA, DEMONSTRATIONS, INSTRUCTION, LIFTED, TURN, Scene, block_pose

FAKE = load_contract("fake")


@pytest.fixture
def world():
    model = fake_scene()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data, Scene(model, data)


def test_a_seed_says_where_the_block_lies_and_demonstrations_have_scenes_of_their_own():
    scenes = {whose: [block_pose(seed, whose) for seed in range(300)] for whose in (0, DEMONSTRATIONS)}
    for whose, poses in scenes.items():
        again, turn = block_pose(7, whose)
        assert np.array_equal(again, poses[7][0]) and turn == poses[7][1]
        places = np.array([place for place, _ in poses])
        assert (places > AREA[0]).all() and (places < AREA[1]).all() and max(abs(t) for _, t in poses) < TURN
        assert (np.ptp(places, axis=0) > 0.95 * (AREA[1] - AREA[0])).all(), "the whole area is used"
    every = {tuple(place) for poses in scenes.values() for place, _ in poses}
    assert len(every) == 600


def test_laid_blocks_lie_still_wherever_they_were_before(world):
    model, data, scene = world
    untouched = data.joint("blue_block_joint").qpos.copy()
    for name in ("red_block", "blue_block"):
        data.joint(f"{name}_joint").qpos[:3] += [0.1, 0.1, 0.3]
        data.joint(f"{name}_joint").qvel[:] = 1.0
    scene.lay(5)
    assert np.allclose(data.joint("blue_block_joint").qpos, untouched)
    place, turn = block_pose(5)
    for _ in range(100):
        mujoco.mj_step(model, data)
    assert np.allclose(scene.block, [*place, 0.02], atol=1e-3)
    assert 2 * np.arcsin(data.joint("red_block_joint").qpos[6]) == pytest.approx(turn, abs=1e-3)


def test_picked_up_is_off_the_table_and_in_the_hand(world):
    _, data, scene = world
    scene.lay(0)
    assert not scene.solved
    place, hand = data.joint("red_block_joint").qpos, data.site("grip_site").xpos
    hand[2] = LIFTED + 0.01
    place[:3] = scene.hand
    assert scene.solved
    place[0] += 0.1  # in the air, and not in the hand
    assert not scene.solved
    hand[2] = LIFTED - 0.01
    place[:3] = scene.hand  # in the hand, and hardly off the table
    assert not scene.solved


def test_the_expert_picks_the_block_up_with_the_bridges_conversion_and_limits():
    rig = Rig(FAKE)
    episode = demonstrate(rig, TestCards(FAKE), FAKE, seed=3)
    assert rig.scene.solved and require_valid(episode, FAKE, "here") is episode
    assert len(episode) < 120 and episode.label_valid.mean() > 0.8
    again = demonstrate(rig, TestCards(FAKE), FAKE, seed=3)
    assert np.array_equal(episode.executed, again.executed)


@pytest.mark.slow
def test_collected_demonstrations_are_a_dataset_that_shows_the_block(tmp_path):
    """In a process of its own, because there MuJoCo must draw."""
    command = [sys.executable, "-m", "clad", "demos", "--robot", "fake", "--per-task", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (episode,) = open_episodes(tmp_path, FAKE)
    assert episode.instruction == INSTRUCTION
    for camera in FAKE.cameras:
        first = episode.images[camera][0].astype(int)
        assert (first[..., 0] - first[..., 2] > 80).any(), f"no red block before {camera}"
