"""Demonstrations that a model can learn in seconds: reach a target that only the picture shows.

The target's x and y are the brightness of the picture's left and right half; the arm's end effector starts anywhere and
steps towards the target. Who cannot see cannot know the way.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from clad.data.episode import Episode
from clad.data.features import EncodedEpisode
from clad.data.libero_hdf5 import write_episode

CAMERAS, FEATURES = ("agentview", "wrist"), ("keypoints", "pooled")
INSTRUCTION = "pick up the book"
STEP = 0.05  # m at full action


def reach_episode(seed: int, *, size: int = 128, length: int = 24) -> Episode:
    """One demonstration of `length` steps, with executed actions noisier than the expert's."""
    rng = np.random.default_rng(seed)
    target, position = rng.uniform(-0.5, 0.5, 2), np.zeros(2)
    picture = np.empty((size, size, 3), dtype=np.uint8)
    picture[:, : size // 2] = int(round(255 * (target[0] + 0.5)))
    picture[:, size // 2 :] = int(round(255 * (target[1] + 0.5)))
    positions, expert, executed = [], [], []
    for _ in range(length):
        action = np.zeros(7)
        action[:2] = np.clip((target - position) / STEP, -1, 1)
        action[6] = 1.0 if np.linalg.norm(target - position) < STEP else -1.0
        noisy = action.copy()
        noisy[:2] = np.clip(noisy[:2] + rng.normal(0, 0.1, 2), -1, 1)
        positions.append(position)
        expert.append(action)
        executed.append(noisy)
        position = position + noisy[:2] * STEP
    positions = np.array(positions)
    return Episode(
        name=f"seed_{seed}",
        instruction=INSTRUCTION,
        images={camera: np.repeat(picture[None], length, axis=0) for camera in ("agentview", "wrist")},
        joint_position=np.hstack([positions, np.zeros((length, 5))]),
        joint_velocity=np.zeros((length, 7)),
        gripper_position=np.zeros((length, 2)),
        ee_position=np.hstack([positions, np.zeros((length, 1))]),
        ee_quaternion=np.tile([1.0, 0.0, 0.0, 0.0], (length, 1)),
        executed=np.array(executed),
        expert=np.array(expert),
        meta={"suite": "libero_10", "task": 5, "seed": seed},
    )


def write_reach_demos(path: Path, count: int, *, length: int = 24) -> Path:
    """`count` demonstrations in one LIBERO file."""
    for seed in range(count):
        episode = reach_episode(seed, length=length)
        write_episode(path, episode, states=np.zeros((length, 3)), file_attrs={})
    return path


def encoded(length: int, seed: int = 0, instruction: str = "put it there", **changes) -> EncodedEpisode:
    """Random features, state and actions; `changes` replace fields."""
    rng = np.random.default_rng(seed)
    features = {
        (c, f): rng.standard_normal((length, d)).astype(np.float32)
        for c in CAMERAS
        for f, d in zip(FEATURES, (3, 2), strict=True)
    }
    return dataclasses.replace(
        EncodedEpisode(
            key=f"f/demo_{seed}",
            instruction=instruction,
            meta={},
            features=features,
            text=rng.standard_normal(4).astype(np.float32),
            joint_position=rng.standard_normal((length, 7)),
            joint_velocity=rng.standard_normal((length, 7)),
            gripper_position=rng.standard_normal((length, 2)),
            ee_position=rng.standard_normal((length, 3)),
            ee_quaternion=rng.standard_normal((length, 4)),
            executed=rng.uniform(-1, 1, (length, 7)),
            expert=rng.uniform(-1, 1, (length, 7)),
            label_valid=np.ones(length, dtype=bool),
            image_valid=np.ones(length, dtype=bool),
        ),
        **changes,
    )
