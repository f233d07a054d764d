"""Sim bridge node: real LIBERO behind the topics, units and frames of an arm, in lock-step or in free-run.

Parameters, services, the action and the timers; what an episode does is in driver.py. One thread runs everything.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

import numpy as np
from rclpy.clock import Clock, ClockType

from clad.contract import load_contract
from clad.errors import CladError, UsageError, unknown_name
from clad.runtime.bundle import load_bundle
from clad.runtime.execution import STRATEGIES
from clad.sim.libero_env import VISUALS
from clad_interfaces.action import RunEpisode
from clad_interfaces.msg import ActionChunk, EpisodeStatus, LatentForesight
from clad_interfaces.srv import ResetEpisode, Step
from clad_ros import topics
from clad_ros.episodes import EpisodeServer
from clad_ros.node import CladNode, run_node
from clad_ros.partners import Partners
from clad_ros.safety import SafetyMonitor, declare_safety
from clad_ros.stamps import SECOND, time_msg
from clad_ros.waiting import take_waiting
from clad_sim_bridge.driver import Driver, Settings
from clad_sim_bridge.episode import Run
from clad_sim_bridge.simulation import Simulation
from clad_sim_bridge.streams import Streams

MODES = ("lockstep", "free-run")
RENDER = ("tick", "decoupled")
WATCH_PERIOD = 0.1  # s


class SimBridge(CladNode):
    """The simulated robot."""

    def __init__(self) -> None:
        super().__init__("sim_bridge")
        self.setting("contract", "libero", "the robot: a shipped contract's name or a YAML file")
        self.setting("suite", "libero_10", "suite that is made ready at start, and of a reset that names none")
        self.setting("task", 0, "task that is made ready at start, and of a reset that names no suite")
        self.setting("mode", "lockstep", "lockstep: sim time waits for each chunk; free-run: it follows the wall clock")
        self.setting("visuals", "full", "full: LIBERO's own meshes; fast: decimated meshes, same physics")
        self.setting("image_size", 0, "pixels; 0: the contract's, the only size that the contract's models take")
        self.setting("gl_backend", "auto", "auto, egl or osmesa")
        self.setting("model", "", "the model bundle in which execute_steps 0 looks the number up")
        self.setting(
            "execute_steps", 0, "lock-step: actions executed per chunk, a divisor of its length; 0: the model's"
        )
        self.setting(
            "republish_after", 2.0, "lock-step: wall seconds without a chunk until the observation is sent again"
        )
        self.setting(
            "chunk_timeout", 60.0, "lock-step: wall seconds without a chunk until a RunEpisode goal is aborted"
        )
        self.setting(
            "execution", "hold", f"free-run: how chunks join: {', '.join(STRATEGIES)}; lock-step is always sync"
        )
        self.setting("real_time_factor", 1.0, "free-run: simulated seconds per wall second aimed at")
        self.setting("camera_rate", 0.0, "free-run: images per simulated second; 0: one at every control step")
        self.setting(
            "render",
            "tick",
            "free-run: tick: cameras are drawn within the control step; decoupled: by a thread beside it, newest state first",
        )
        declare_safety(self)
        self._driver: Driver | None = None

    def configure(self) -> None:
        contract = load_contract(self.value("contract"))
        if not self.value("real_time_factor") > 0:
            raise UsageError("real_time_factor must be positive", "1.0 is real time")
        settings = Settings(
            mode=self._choice("mode", MODES),
            visuals=self._choice("visuals", VISUALS),
            execution=self._choice("execution", STRATEGIES),
            execute_steps=self.value("execute_steps") or load_bundle(self.value("model")).execute_steps,
            republish_after=self.value("republish_after"),
            chunk_timeout=self.value("chunk_timeout"),
            camera_every=_steps_per_image(self.value("camera_rate"), contract.control_rate),
            decoupled=self._choice("render", RENDER) == "decoupled",
            real_time_factor=self.value("real_time_factor"),
        )
        if settings.decoupled and settings.mode == "lockstep":
            raise UsageError("in lock-step each picture is waited for", "Leave out render, or choose mode free-run")
        # pictures come from another thread; they are published by this one
        self._guard = self.create_guard_condition(lambda: self._driver.on_drawn())
        self._simulation = Simulation(
            contract,
            visuals=settings.visuals,
            image_size=self.value("image_size") or None,
            backend=self.value("gl_backend"),
            log=self.get_logger().info,
            drawn=self._guard.trigger if settings.decoupled else None,
        )
        # what is missing for the simulator is told now, not at the first episode
        env = self._simulation.prepare(self.value("suite"), self.value("task"))
        self._streams = Streams(self, contract)
        self._status = self.create_lifecycle_publisher(EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS)
        self._safety = SafetyMonitor(self, contract)
        self._partners = partners = Partners(self)
        self._driver = driver = Driver(
            contract, settings, self._simulation, self._streams, self._status, self.diagnostics, self._safety, partners
        )
        self._inputs = [
            # foresights first: of messages that are there together the executor takes them in this order
            self.create_subscription(
                LatentForesight,
                topics.LATENT_FORESIGHT,
                driver.on_foresight,
                topics.EVERY_FORESIGHT_QOS,
                event_callbacks=partners.watch("planner"),
            ),
            self.create_subscription(
                ActionChunk,
                topics.ACTION_CHUNK,
                driver.on_chunk,
                topics.INFERENCE_QOS,
                event_callbacks=partners.watch("policy"),
            ),
        ]
        self._offers = [
            self.create_service(ResetEpisode, topics.RESET_EPISODE, self._on_reset),
            self.create_service(Step, topics.STEP, self._on_step),
        ]
        self._action = EpisodeServer(
            self,
            begin=lambda goal: self._begin(goal, max_steps=goal.max_steps, driven=True),
            cancel=lambda: driver.finish(EpisodeStatus.ABORTED, "cancelled"),
        )
        self._start_timer(settings.mode)
        self.diagnostics.set(
            mode=settings.mode, visuals=settings.visuals, gl_backend=env.backend, refused_chunks=0, holds=0
        )

    def _start_timer(self, mode: str) -> None:
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        if mode == "lockstep":
            self._timer = self.create_timer(WATCH_PERIOD, self._driver.watch, clock=steady)
            return
        self._wall_period = round(self._simulation.period / self.value("real_time_factor"))
        self._due = time.monotonic_ns()
        self._timer = self.create_timer(self._wall_period / SECOND, self._on_tick, clock=steady)

    def _on_tick(self) -> None:
        """A tick that comes late, or takes longer than its period, delays sim time: steps are never made up in a burst."""
        self._due = max(self._due + self._wall_period, time.monotonic_ns())
        take_waiting([self._partners.subscription, *self._inputs])
        self._driver.tick()
        self._timer.timer_period_ns = max(self._due - time.monotonic_ns(), 1)
        self._timer.reset()

    def _choice(self, name: str, valid: Iterable[str]) -> str:
        if self.value(name) not in valid:
            raise unknown_name(name, self.value(name), valid)
        return self.value(name)

    def deactivate(self) -> None:
        self._driver.finish(EpisodeStatus.ABORTED, "the bridge was deactivated")

    def release(self) -> None:
        if self._driver is None:
            return
        self._driver = None
        self.destroy_timer(self._timer)
        for service in self._offers:
            self.destroy_service(service)
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._action.destroy()
        self._partners.destroy()
        self._streams.destroy()
        self._safety.destroy()
        self.destroy_lifecycle_publisher(self._status)
        self._simulation.close()
        self.destroy_guard_condition(self._guard)

    # --- services and the action

    def _begin(self, request: ResetEpisode.Request | RunEpisode.Goal, **options) -> Run:
        if not self.active:
            raise CladError("the bridge is not active", "Activate it first")
        if request.instruction and not request.instruction.strip():
            raise UsageError("the instruction is blank", "Leave it empty for the task's own words")
        suite, task = request.suite, request.task
        if not suite:
            suite, task = self._simulation.task or (self.value("suite"), self.value("task"))
        return self._driver.begin(
            suite=suite,
            task=task,
            init_index=request.init_index,
            seed=request.seed,
            protocol=request.protocol or "exact",
            instruction=request.instruction,
            **options,
        )

    def _on_reset(self, request: ResetEpisode.Request, response: ResetEpisode.Response) -> ResetEpisode.Response:
        try:
            run = self._begin(request, driven=False)
        except CladError as error:
            response.message = str(error)
            return response
        response.success, response.episode, response.stamp = True, run.id, time_msg(run.start)
        response.instruction, response.scene_hash = run.instruction, run.scene_hash
        return response

    def _on_step(self, request: Step.Request, response: Step.Response) -> Step.Response:
        try:
            response.reward = self._driver.service_step(np.array(request.action, dtype=np.float64))
        except CladError as error:
            response.message = str(error)
            return response
        response.success, response.step = True, self._simulation.log.steps
        response.done = self._driver.run.phase == EpisodeStatus.SUCCESS
        response.stamp = time_msg(self._simulation.now)
        return response


def _steps_per_image(camera_rate: float, control_rate: float) -> int:
    """Control steps from one image to the next. Raises UsageError unless the camera's rate divides the control rate."""
    every = round(control_rate / camera_rate) if camera_rate > 0 else 1
    if camera_rate < 0 or every < 1 or abs(every * (camera_rate or control_rate) - control_rate) > 1e-6:
        raise UsageError(
            f"camera_rate {camera_rate} does not divide the control rate {control_rate}", "Give e.g. 5 or 10"
        )
    return every


def main() -> None:
    sys.exit(run_node(SimBridge))
