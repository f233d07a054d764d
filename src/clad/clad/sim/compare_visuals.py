"""What fast visuals save, and what they change: both kinds, step by step through the same episode."""

from __future__ import annotations

import time

import numpy as np

from clad.sim.libero_env import VISUALS, LiberoEnv


def compare(suite: str, task: int, steps: int = 40, seed: int = 0) -> dict:
    """CPU ms of a step rendered by both cameras, physics included (medians), and the mean picture difference of 255.

    Both environments live through the same random actions in the same sampled scene.
    """
    actions = np.random.default_rng(seed).uniform(-1, 1, (steps, 7))
    costs, pictures = {}, {}
    for visuals in VISUALS:
        with LiberoEnv(suite, task, visuals=visuals) as env:
            env.reset_sampled(seed)
            times, seen = [], []
            for action in actions:
                started = time.process_time()
                env.step(action)
                images = env.observe().images
                times.append(time.process_time() - started)
                seen.append(images)
            costs[visuals], pictures[visuals] = 1e3 * float(np.median(times)), seen
    difference = {
        camera: float(np.mean([np.abs(a[camera].astype(int) - b[camera]).mean() for a, b in zip(*pictures.values())]))
        for camera in pictures["full"][0]
    }
    return {"suite": suite, "task": task, "full_ms": costs["full"], "fast_ms": costs["fast"], "difference": difference}
