"""One episode in this process, without ROS. The bridge runs the same loop in the same order and keeps the same log."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from clad.contract import Observation
from clad.errors import UsageError
from clad.runtime.execution import DelayedExecution, delay_steps
from clad.sim.perturbations import generator

if TYPE_CHECKING:
    from clad.runtime.planner import Planner
    from clad.runtime.policy import Policy
    from clad.sim.libero_env import LiberoEnv

SAMPLED = "sampled"  # the protocol of a scene that is sampled by its seed instead of loaded from an evaluation state


class EpisodeLog:
    """What an episode has come to so far. The hashes cover every action and every state, so equal hashes, equal episodes.

    action_hash: SHA-256 over the native actions' float64 bytes. state_hash: over the simulator states' float64 bytes,
    the first observation's state included. steps: control steps executed. total_reward: the episode's return.
    """

    def __init__(self, state: np.ndarray) -> None:
        """state: flat simulator state (S,) at the first observation."""
        self._actions = hashlib.sha256()
        self._states = hashlib.sha256(_float64_bytes(state))
        self.steps = 0
        self.total_reward = 0.0

    def record(self, action: np.ndarray, state: np.ndarray, reward: float) -> None:
        """One executed native action (N,), the state (S,) it led to and its reward."""
        self._actions.update(_float64_bytes(action))
        self._states.update(_float64_bytes(state))
        self.steps += 1
        self.total_reward += reward

    @property
    def action_hash(self) -> str:
        """Hexadecimal, over all actions so far."""
        return self._actions.hexdigest()

    @property
    def state_hash(self) -> str:
        """Hexadecimal, over all states so far."""
        return self._states.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeResult:
    """How an episode ended. outcome: 'success' | 'timeout'. Times are wall seconds.

    encode, plan, policy: one entry a chunk (plan includes encode). fallbacks: chunks planned on an incomplete history.
    """

    success: bool
    outcome: str
    steps: int
    total_reward: float
    instruction: str
    init_index: int | None
    seed: int
    scene_hash: str
    action_hash: str
    state_hash: str
    encode: tuple[float, ...]
    plan: tuple[float, ...]
    policy: tuple[float, ...]
    render_time: float
    physics_time: float
    wall_time: float
    fallbacks: int


def run_episode(
    env: LiberoEnv,
    planner: Planner,
    policy: Policy,
    *,
    init_index: int | None,
    seed: int,
    protocol: str,
    execute_steps: int,
    max_steps: int,
    instruction: str = "",
    on_frame: Callable[[Observation], None] | None = None,
    execution: str = "hold",
) -> EpisodeResult:
    """Reset, then observe, plan, act and execute `execute_steps` actions, until success or `max_steps` control steps.

    init_index: the evaluation state, None with protocol 'sampled' (a scene of its own, drawn from `seed`).
    instruction: empty for the task's own words. on_frame: called with an observation with images at every control step,
    the last included; rendering them all costs time but changes nothing in the episode. What env.perturbations say about
    frames and time is acted out here. With a delay every control step is planned on, as in free-run, and chunks that
    arrive late are joined as `execution`, one of STRATEGIES, has it; without one it plays no part.
    """
    started, rendered, stepped = time.perf_counter(), env.render_seconds, env.physics_seconds
    if (init_index is None) != (protocol == SAMPLED):
        raise UsageError(
            f"protocol '{protocol}' with initial state {init_index}",
            "A sampled scene has no evaluation state; every other protocol needs one",
        )
    if protocol == SAMPLED:
        env.reset_sampled(seed)
    else:
        env.reset(init_index, seed, protocol)
    instruction = instruction or env.instruction
    planner.reset(instruction, seed)
    log = EpisodeLog(env.state())
    delay = delay_steps(env.perturbations.delay, env.contract.control_rate)
    if delay:
        joined = DelayedExecution(env.contract, execution, execute_steps=execute_steps)
    else:
        joined = DelayedExecution(env.contract, "hold", every=execute_steps)
    camera = _LossyCamera(env.perturbations.drop, generator(seed, "drop"))
    encode, plan, act = [], [], []
    done, fallbacks = False, 0
    while not done and log.steps < max_steps:
        planning = joined.wants_plan(log.steps)
        if planning or on_frame:
            observation = env.observe()
        if on_frame:
            on_frame(observation)
        if planning:
            foresight = planner.plan(camera.sees(observation))
            chunk = policy.act(foresight, **joined.past(log.steps))
            joined.submit(chunk, delay=delay)
            encode.append(foresight.encode_latency)
            plan.append(foresight.plan_latency)
            act.append(chunk.policy_latency)
            fallbacks += bool(foresight.fallback)
        action, _ = joined.action(log.steps)
        planner.executed(log.steps, action)
        step = env.step(action)
        log.record(action, env.state(), step.reward)
        done = step.done
    if on_frame:
        on_frame(env.observe())
    return EpisodeResult(
        success=done,
        outcome="success" if done else "timeout",
        steps=log.steps,
        total_reward=log.total_reward,
        instruction=instruction,
        init_index=init_index,
        seed=seed,
        scene_hash=env.scene_hash(),
        action_hash=log.action_hash,
        state_hash=log.state_hash,
        encode=tuple(encode),
        plan=tuple(plan),
        policy=tuple(act),
        render_time=env.render_seconds - rendered,
        physics_time=env.physics_seconds - stepped,
        wall_time=time.perf_counter() - started,
        fallbacks=fallbacks,
    )


class _LossyCamera:
    """Loses a fraction `rate` of the frames that plans are made from; the last one that came stands in. The first comes."""

    def __init__(self, rate: float, rng: np.random.Generator) -> None:
        self._rate, self._rng = rate, rng
        self._last: dict[str, np.ndarray] = {}

    def sees(self, observation: Observation) -> Observation:
        """The observation with the frames that came."""
        if self._last and self._rng.random() < self._rate:
            return replace(observation, images=self._last)
        self._last = observation.images
        return observation


def _float64_bytes(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, dtype=np.float64).tobytes()
