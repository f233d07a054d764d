"""A valid episode of the LIBERO robot in which every number is random, so that no two fields can be confused."""

from __future__ import annotations

import numpy as np

from clad.data.episode import Episode


def make_episode(steps: int = 5, seed: int = 0, size: int = 8) -> Episode:
    """T = `steps`; pictures of `size` pixels a side."""
    rng = np.random.default_rng(seed)
    quaternion = rng.normal(size=(steps, 4))
    return Episode(
        name=f"seed_{seed}",
        instruction="put the book away",
        images={c: rng.integers(0, 256, (steps, size, size, 3), dtype=np.uint8) for c in ("agentview", "wrist")},
        joint_position=rng.normal(size=(steps, 7)),
        joint_velocity=rng.normal(size=(steps, 7)),
        gripper_position=rng.normal(size=(steps, 2)),
        ee_position=rng.normal(size=(steps, 3)),
        ee_quaternion=quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True),
        executed=rng.uniform(-1, 1, (steps, 7)),
        expert=rng.uniform(-1, 1, (steps, 7)),
        label_valid=rng.random(steps) < 0.5,
        meta={"suite": "libero_10", "task": 5, "seed": seed},
    )
