"""Which tasks have a scripted expert, and how an episode of one is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clad.errors import UsageError
from clad.sim.expert.goals import pursue
from clad.sim.expert.noise import ActionNoise, sample_mishaps
from clad.sim.expert.operator import EpisodeOver, Operator, Transition
from clad.sim.libero_env import LiberoEnv

# suite -> the tasks whose expert was measured, with what it reached: docs/decisions/0009
EXPERTS: dict[str, tuple[int, ...]] = {"libero_10": tuple(range(10)), "libero_object": (0,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an expert's episode ended. reason: 'success', 'step limit', or what the script says."""

    success: bool
    reason: str
    steps: int


def script_for(suite: str, task: int) -> Callable[[Operator], None]:
    """The script of a task. Raises UsageError naming the tasks that have one."""
    if task not in EXPERTS.get(suite, ()):
        valid = "; ".join(f"{name} {', '.join(map(str, known))}" for name, known in EXPERTS.items())
        raise UsageError(f"no scripted expert for {suite} task {task}", f"Tasks with one: {valid}")
    return pursue


def run_expert(
    env: LiberoEnv,
    seed: int,
    *,
    disturbed: bool = True,
    images: bool = False,
    on_step: Callable[[Transition], None] = lambda transition: None,
) -> Outcome:
    """One episode of the task's expert on an environment that has just been reset.

    seed: of everything random about the demonstrator. disturbed: with action noise, mishaps and varied speed.
    """
    script = script_for(env.info.suite, env.info.task)
    rng = np.random.default_rng([seed, 1])
    options = {}
    if disturbed:
        options = {
            "noise": ActionNoise(rng),
            "mishaps": sample_mishaps(rng),
            "speed": float(rng.uniform(0.8, 1.0)),
        }
    op = Operator(env, max_steps=env.max_steps, rng=rng, images=images, on_step=on_step, **options)
    try:
        script(op)
        op.stay(15, -1.0)
    except EpisodeOver as end:
        return Outcome(success=end.success, reason=end.reason, steps=op.steps)
    return Outcome(success=False, reason="script ended", steps=op.steps)
