"""The course of an episode: what happens on a chunk (lock-step), on a tick (free-run), on a step by service.

Everything runs on the thread that spins the node, one call at a time.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

import numpy as np
from rclpy.publisher import Publisher

from clad.contract import Observation, RobotContract, hold_action, wire_to_native
from clad.errors import CladError
from clad.runtime.execution import HOLDS, REFUSALS, ChunkExecutor, TimedChunk
from clad.safety import Measured, State
from clad.safety.actions import action_of, command_of
from clad_interfaces.msg import ActionChunk, EpisodeStatus, ExecutedAction, LatentForesight
from clad_ros.convert import timed_chunk
from clad_ros.diagnostics import OK, WARN, Diagnostics
from clad_ros.garbage import set_aside
from clad_ros.partners import Partners
from clad_ros.safety import SafetyMonitor
from clad_ros.stamps import SECOND, to_ns
from clad_sim_bridge.episode import Run
from clad_sim_bridge.simulation import Simulation
from clad_sim_bridge.streams import Streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The bridge's parameters, checked. republish_after, chunk_timeout: wall seconds. camera_every: control steps.

    decoupled: free-run, pictures are drawn beside the steps. real_time_factor: free-run, what is aimed at.
    """

    mode: str
    visuals: str
    execution: str
    execute_steps: int
    republish_after: float
    chunk_timeout: float
    camera_every: int
    decoupled: bool
    real_time_factor: float


class Driver:
    """Runs one episode after another on `simulation`; `run` is the present or the last one, None before the first."""

    def __init__(
        self,
        contract: RobotContract,
        settings: Settings,
        simulation: Simulation,
        streams: Streams,
        status: Publisher,
        diagnostics: Diagnostics,
        safety: SafetyMonitor,
        partners: Partners,
    ) -> None:
        self._contract, self._settings, self._simulation = contract, settings, simulation
        self._streams, self._status, self._diagnostics = streams, status, diagnostics
        self._safety, self._partners = safety, partners
        self._episodes = self._refused = 0
        self._measured: Measured | None = None
        self.run: Run | None = None

    def begin(
        self,
        *,
        suite: str,
        task: int,
        init_index: int,
        seed: int,
        protocol: str,
        instruction: str,
        max_steps: int = 0,
        driven: bool,
    ) -> Run:
        """Reset the scene and publish its first observation; an episode that is still running is aborted.

        Raises CladError when the scene cannot be had; the node then has no running episode.
        """
        self.finish(EpisodeStatus.ABORTED, "another episode was started")
        simulation = self._simulation
        try:
            simulation.begin(suite, task, init_index, seed, protocol)
        except CladError:
            raise
        except Exception as error:
            traceback.print_exc()
            raise CladError(f"the simulator failed to reset: {error}", "The bridge's log has the details") from error
        env = simulation.env
        self._episodes += 1
        self.run = run = Run(
            id=self._episodes,
            start=simulation.start,
            suite=suite,
            task=task,
            instruction=instruction or env.instruction,
            init_index=init_index,
            seed=seed,
            protocol=protocol,
            mode=self._settings.mode,
            visuals=self._settings.visuals,
            max_steps=max_steps or env.max_steps,
            scene_hash=env.scene_hash(),
            driven=driven,
            executor=ChunkExecutor(
                self._settings.execution, self._contract.action, execute_steps=self._settings.execute_steps
            ),
        )
        set_aside()  # the scene is a new one: tens of thousands of objects
        self._safety.begin()
        self._streams.clock(simulation.now)
        self._status.publish(run.status(simulation))
        self._observation(images=True)
        self._diagnostics.ok(f"episode {run.id} runs", gl_backend=env.backend, suite=suite, task=task, episode=run.id)
        return run

    def finish(self, phase: int, reason: str) -> None:
        """The outcome of the running episode, if one runs; then its last observation, for bag and video.

        In this order, so that the planner knows that nobody waits for a plan of that observation.
        """
        run = self.run
        if run is None or not run.running:
            return
        run.phase, run.reason, run.awaited = phase, reason, -1
        self._status.publish(run.status(self._simulation))
        if phase != EpisodeStatus.ABORTED:  # an aborted episode's simulator may be what failed
            self._send(images=True)
        run.finished.set_result(run.result(self._simulation, self._safety))
        self._diagnostics.ok(f"episode {run.id} ended: {run.outcome}{reason and ': '}{reason}", holds=run.holds)

    def service_step(self, action: np.ndarray) -> float:
        """Execute one native action and publish the observation after it; returns the reward. Lock-step only."""
        run, n = self.run, len(self._contract.action.names)
        if run is None or not run.running:
            raise CladError("no episode is running", "Call /reset_episode first")
        if not run.lockstep:
            raise CladError("in free-run the clock drives the robot", "Start the bridge in mode lockstep")
        if action.shape != (n,) or not (np.abs(action) <= 1).all():
            raise CladError(f"an action is {n} numbers in [-1, 1]; got {action.tolist()}")
        run.awaited = -1
        reward = self._execute(action, ExecutedAction.SOURCE_SERVICE)
        if run.running:
            self._observation(images=True)
        return reward

    def on_foresight(self, message: LatentForesight) -> None:
        """Only its plan latency is of interest here: the chunk carries its policy's."""
        if self.run is not None and message.episode == self.run.id:
            self.run.latency.planned(message.seq, to_ns(message.plan_latency) / SECOND)

    def on_chunk(self, message: ActionChunk) -> None:
        """Lock-step: execute it if it answers the present observation. Free-run: the executor decides."""
        run = self.run
        if run is None or not run.running or message.episode != run.id:
            return  # of an episode that is over: late, not wrong
        try:
            chunk = timed_chunk(message, self._contract)
            if run.lockstep and message.steps % self._settings.execute_steps:
                raise CladError(
                    f"action_chunk: execute_steps {self._settings.execute_steps} does not divide {message.steps} steps"
                )
        except CladError as error:
            self._refuse(str(error))
            return
        run.latency.received(chunk.obs_stamp, message.foresight_seq, to_ns(message.policy_latency) / SECOND)
        if run.lockstep:
            if chunk.obs_stamp == run.awaited:
                self._diagnostics.ok(f"episode {run.id} runs", **self._pace())
                self._guarded(self._execute_chunk, chunk)
            return
        flag = run.executor.accept(chunk, self._simulation.now)
        self._partners.judged(flag)
        if flag == "other_publisher":
            self._refuse(f"action_chunk: {REFUSALS[flag]}")
        elif flag != "accepted":
            self._diagnostics.set(**{f"refused_{flag}": run.executor.refused[flag]})

    def watch(self) -> None:
        """Lock-step: a lost message costs time, not the episode. What the planner needs is sent again after a while."""
        run = self.run
        if run is None or not run.running or run.awaited < 0:
            return
        wall, settings = time.monotonic(), self._settings
        waited = wall - run.asked_wall
        if run.driven and waited > settings.chunk_timeout:
            reason = f"no chunk came for {waited:.0f} s; see the planner's and the policy's diagnostics"
            self.finish(EpisodeStatus.ABORTED, reason)
        elif wall - run.sent_wall > settings.republish_after:
            self._diagnostics.warn("no chunk comes; sending the observation again", waited_s=f"{waited:.1f}")
            for message in run.resend:
                self._streams.executed_again(message)
            self._send(images=True)
            run.sent_wall = wall

    def tick(self) -> None:
        """Free-run: one control step with whatever the chunks say for the present time, or a hold."""
        run = self.run
        if run is not None and run.running:
            self._guarded(self._free_step)

    def on_drawn(self) -> None:
        """Decoupled rendering: pictures of an earlier state are ready; they bear its stamp, which tells their age."""
        run, drawn = self.run, self._simulation.take()
        if run is None or not run.running or drawn is None:
            return  # the episode's last observation has been published already
        stamp, observation = drawn
        self._streams.images(observation, self._simulation.intrinsics, stamp)
        run.latency.published(stamp)
        run.image_age.add(self._simulation.now - stamp)
        if age := run.image_age.estimate:
            self._diagnostics.set(image_age_ms=age.text, images_superseded=self._simulation.superseded)

    # --- internals

    def _free_step(self) -> None:
        run, simulation, spec = self.run, self._simulation, self._contract.action
        due = run.executor.action(simulation.now)
        if reason := self._partners.reason or HOLDS.get(due.flag, ""):
            run.holds += 1
            self._diagnostics.warn(f"holding: {reason}", holds=run.holds, **self._pace())
            self._execute(hold_action(spec, run.gripper), ExecutedAction.SOURCE_HOLD, reason=reason)
        else:
            run.age.add(simulation.now - due.obs_stamp)
            self._report_free_run(run)
            self._execute(wire_to_native(due.action, spec), ExecutedAction.SOURCE_CHUNK, chunk_seq=due.seq)
        if not run.running:
            return
        images = simulation.log.steps % self._settings.camera_every == 0
        if self._settings.decoupled:
            observation = self._send(images=False)
            if images:
                simulation.show(observation)
        else:
            self._observation(images=images)

    def _report_free_run(self, run: Run) -> None:
        """A chunk acts. The words stay the same from step to step, so that the log is told once; what changes is a value."""
        age, wanted = run.age.estimate, self._settings.real_time_factor
        lags = run.pace.lags(wanted)
        self._diagnostics.report(
            WARN if lags else OK,
            f"episode {run.id} runs" + f", slower than the real-time factor {wanted:g} asked for" * lags,
            holds=run.holds,
            observation_age_ms=age.text if age else "warming up",
            **self._pace(),
        )

    def _pace(self) -> dict[str, str]:
        factor = self.run.pace.factor
        return {"real_time_factor": "warming up" if factor is None else f"{factor:.3f}"}

    def _refuse(self, reason: str) -> None:
        self._refused += 1
        self._diagnostics.error(f"chunk refused: {reason}", refused_chunks=self._refused)

    def _execute_chunk(self, chunk: TimedChunk) -> None:
        run = self.run
        run.awaited = -1
        for i, action in enumerate(wire_to_native(chunk.values[: self._settings.execute_steps], self._contract.action)):
            if i:  # joints at the control rate; images only where a plan is wanted
                self._observation(images=False)
            self._execute(action, ExecutedAction.SOURCE_CHUNK, chunk_seq=chunk.seq)
            if not run.running:
                return
        self._observation(images=True)

    def _execute(self, action: np.ndarray, source: int, *, chunk_seq: int = 0, reason: str = "") -> float:
        """One control step with its messages, not the observation after it; ends the episode when it is over."""
        run, simulation = self.run, self._simulation
        action, source, reason = self._judged(action, source, reason)
        run.gripper = 1.0 if action[self._contract.action.gripper_index] > 0 else -1.0
        message = self._streams.executed(
            action,
            stamp=simulation.now,
            episode=run.id,
            step=simulation.log.steps,
            source=source,
            chunk_seq=chunk_seq,
            reason=reason,
        )
        run.resend.append(message)
        result = simulation.execute(action)
        run.pace.note(time.monotonic(), simulation.now)
        self._streams.clock(simulation.now)
        if result.done:
            self.finish(EpisodeStatus.SUCCESS, "")
        elif simulation.log.steps >= run.max_steps:
            self.finish(EpisodeStatus.TIMEOUT, f"step limit {run.max_steps} reached")
        return result.reward

    def _judged(self, action: np.ndarray, source: int, reason: str) -> tuple[np.ndarray, int, str]:
        """What the safety filter lets through: the very same action where nothing is wrong with it."""
        contract, gripper = self._contract, self.run.gripper
        wanted = None if source == ExecutedAction.SOURCE_HOLD else command_of(action, contract)
        verdict = self._safety.step(wanted, self._measured, self._simulation.now)
        if verdict.state == State.PASS:
            return action, source, reason
        why = f"safety: {', '.join(verdict.reasons)}"
        if verdict.state == State.CLAMP:
            return action_of(verdict.command, contract, gripper), source, why
        # no velocity is left over that would have to be braked: the controller's goal simply stays where the arm is
        return hold_action(contract.action, gripper), ExecutedAction.SOURCE_HOLD, reason or why

    def _observation(self, *, images: bool) -> None:
        """Publish the present observation; with images it asks for a chunk."""
        self._send(images=images)
        if images:
            run = self.run
            run.sent_wall = run.asked_wall = time.monotonic()
            run.awaited = self._simulation.now
            run.latency.published(run.awaited)

    def _send(self, *, images: bool) -> Observation:
        simulation = self._simulation
        observation = simulation.observe(images=images)
        self._measured = Measured(
            stamp=simulation.now,
            joint_position=observation.joint_position,
            ee_position=observation.ee_position,
            ee_quaternion=observation.ee_quaternion,
        )
        self._streams.state(observation, simulation.finger_velocity(), simulation.now)
        self._streams.images(observation, simulation.intrinsics, simulation.now)
        return observation

    def _guarded(self, step, *arguments) -> None:
        """A fault in the simulator ends the episode with a reason, not the node."""
        try:
            step(*arguments)
        except Exception as error:
            traceback.print_exc()
            self.finish(EpisodeStatus.ABORTED, f"the simulator failed: {error}")
