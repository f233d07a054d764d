"""LIBERO with a clock: which environment exists, what time it is there, and what the present episode has come to.

Knows no ROS. All calls must come from one thread: the environment's GL context belongs to it. Pictures may be drawn
beside the steps, by a thread with a context of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from clad.contract import Observation, RobotContract
from clad.errors import UsageError
from clad.sim import suites
from clad.sim.libero_env import LiberoEnv, StepResult
from clad.sim.render_thread import RenderThread
from clad.sim.rollout import SAMPLED, EpisodeLog
from clad_ros.stamps import SECOND, control_period_ns


class Simulation:
    """now: sim time, ns; never runs backwards, and an episode begins one second after the last one ended."""

    def __init__(
        self,
        contract: RobotContract,
        *,
        visuals: str,
        image_size: int | None,
        backend: str,
        log: Callable[[str], None],
        drawn: Callable[[], None] | None = None,
    ) -> None:
        """log: told in words when an environment is built. drawn: as of RenderThread; None: `show` is not used."""
        self._contract = contract
        self._visuals, self._image_size, self._backend = visuals, image_size, backend
        self._tell, self._drawn = log, drawn
        self._renderer: RenderThread[tuple[int, Observation]] | None = None
        self._task: tuple[str, int] | None = None
        self._env: LiberoEnv | None = None
        self.period = control_period_ns(contract)
        self.now = 0

    @property
    def env(self) -> LiberoEnv:
        """The environment of the present task."""
        if self._env is None:
            raise UsageError(
                "no episode has been started", "Call /reset_episode or /run_episode with a suite and a task"
            )
        return self._env

    @property
    def task(self) -> tuple[str, int] | None:
        """(suite, task) of the present environment."""
        return self._task

    def prepare(self, suite: str, task: int) -> LiberoEnv:
        """The environment of a task; it is kept while suite and task stay the same.

        Raises UsageError for names or numbers that do not exist, CladError where LIBERO or GL is missing.
        """
        if self._env is None or self._task != (suite, task):
            suites.task_info(suite, task)  # a wrong name must not cost the environment that is there
            self.close()
            self._env = env = LiberoEnv(
                suite,
                task,
                contract=self._contract,
                visuals=self._visuals,
                image_size=self._image_size,
                backend=self._backend,
            )
            self._task = (suite, task)
            self._tell(
                f"{suite} task {task} ({env.instruction}): {self._visuals} visuals, {env.image_size} px, "
                f"GL back-end {env.backend}"
            )
        return self._env

    def begin(self, suite: str, task: int, init_index: int, seed: int, protocol: str) -> None:
        """Bring the scene to the start of an episode. Raises as `prepare` does, UsageError also for init and protocol.

        Protocol 'sampled' is a scene of its own, drawn from the seed; init_index says nothing then.
        """
        self.prepare(suite, task)
        if protocol == SAMPLED:
            self._env.reset_sampled(seed)
        else:
            self._env.reset(init_index, seed, protocol)
        self._render_before, self._physics_before = self._seconds_drawn, self._env.physics_seconds
        self.log = EpisodeLog(self._env.state())
        self.now += SECOND
        self.start = self.now
        self._intrinsics = {camera: self._env.camera_intrinsics(camera) for camera in self._contract.cameras}
        if self._drawn is not None:
            self._renderer = self._renderer or RenderThread(self._drawn)
            self._renderer.begin(self._env)

    def execute(self, action: np.ndarray) -> StepResult:
        """One native action (N,) for one control period."""
        result = self.env.step(action)
        self.log.record(action, self.env.state(), result.reward)
        self.now += self.period
        return result

    def observe(self, images: bool) -> Observation:
        """What the robot sees (with `images`) and feels now."""
        return self.env.observe(images=images)

    def show(self, observation: Observation) -> None:
        """Have the present state drawn beside the steps that follow; `take` has it when it is ready."""
        self._renderer.show((self.now, observation), self.env)

    def take(self) -> tuple[int, Observation] | None:
        """The newest observation with pictures that was drawn, and its stamp, ns; once, then None."""
        done = self._renderer.take()
        if done is None:
            return None
        (stamp, observation), images = done
        return stamp, replace(observation, images=images)

    @property
    def superseded(self) -> int:
        """States that were never drawn, because a newer one came first."""
        return self._renderer.superseded

    def finger_velocity(self) -> np.ndarray:
        """(G,) m/s; no model uses it, so an Observation does not carry it, but joint_states shows it."""
        model, data = self.env.model, self.env.data
        return np.array([data.qvel[model.joint(n).dofadr[0]] for n in self._contract.gripper_joint_names])

    def intrinsics(self, camera: str) -> np.ndarray:
        """K (3, 3) of a camera, pixels."""
        return self._intrinsics[camera]

    @property
    def render_seconds(self) -> float:
        """Wall seconds spent rendering in this episode."""
        return self._seconds_drawn - self._render_before

    @property
    def _seconds_drawn(self) -> float:
        return self.env.render_seconds + (self._renderer.seconds if self._renderer else 0.0)

    @property
    def physics_seconds(self) -> float:
        """Wall seconds spent stepping in this episode."""
        return self.env.physics_seconds - self._physics_before

    def close(self) -> None:
        """Free the environment and every GL context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        if self._env is not None:
            self._env.close()
        self._env = self._task = None
