"""The course of an episode on an arm: home, then one command per control step until somebody says how it ended.

Everything runs on the thread that spins the node, one call at a time. Every command goes through the safety filter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from rclpy.publisher import Publisher

from clad.contract import RobotContract, hold_action, native_to_wire, wire_to_native
from clad.errors import CladError
from clad.robot.commands import Converter
from clad.robot.frozen import Frozen
from clad.robot.homing import Homing
from clad.robot.senses import Instant, Senses
from clad.runtime.execution import HOLDS, REFUSALS, ChunkExecutor
from clad.runtime.execution.strategies import newest
from clad.safety import Measured, State, Verdict
from clad_interfaces.msg import ActionChunk, EpisodeStatus, ExecutedAction, LatentForesight
from clad_robot_bridge.episode import Run
from clad_robot_bridge.inputs import Inputs
from clad_robot_bridge.outputs import Outputs
from clad_ros.convert import timed_chunk
from clad_ros.diagnostics import Diagnostics
from clad_ros.partners import Partners
from clad_ros.safety import SafetyMonitor
from clad_ros.stamps import SECOND, control_period_ns, to_ns
from clad_ros.streams import Streams

if TYPE_CHECKING:
    from clad.robot.kinematics import Kinematics

CAMERA_LATE = 2  # control periods without a picture after which the joints are told without one
SETTLE = 1.0  # s after an episode in which the arm is still brought to rest
SAME_PLACE = 0.02  # m by which the driver's hand pose and that of the kinematic model may differ


class Control:
    """`run` is the present or the last episode, None before the first. tick() is to be called once a control period."""

    def __init__(
        self,
        contract: RobotContract,
        *,
        senses: Senses,
        inputs: Inputs,
        outputs: Outputs,
        streams: Streams,
        status: Publisher,
        diagnostics: Diagnostics,
        kinematics: Kinematics | None,
        safety: SafetyMonitor,
        partners: Partners,
        new_executor: Callable[[], ChunkExecutor],
        listen: float,
    ) -> None:
        """new_executor: makes an episode's.

        listen: s that an episode waits for the arm and its cameras to be heard.
        """
        self._contract, self._senses, self._inputs = contract, senses, inputs
        self._outputs, self._streams, self._status = outputs, streams, status
        self._diagnostics, self._kinematics, self._safety = diagnostics, kinematics, safety
        self._partners = partners
        self._new_executor, self._listen = new_executor, round(listen * SECOND)
        self._converter = Converter(contract, kinematics)
        self._period = control_period_ns(contract)
        self._homing: Homing | None = None
        self._asked, self._is_home = 0, False
        self._episodes = self._refused = 0
        # ns: when a picture came last, the newest stamp told, until when a finished episode is brought to rest
        self._seen = self._told = self._settled = 0
        self._frozen, self._hangs = Frozen(), ""  # the cameras of this episode, and which of them hangs, in words
        self.run: Run | None = None

    # --- episodes

    def begin(self, *, instruction: str, max_steps: int, init_index: int, seed: int, now: int) -> Run:
        """A new episode, which begins once the arm is at home; one that is still running is aborted."""
        self.finish(EpisodeStatus.ABORTED, "another episode was started", now)
        self._safety.begin()
        self._frozen, self._hangs = Frozen(), ""
        self._asked, self._is_home = now, False
        self._episodes += 1
        self.run = Run(
            id=self._episodes,
            init_index=init_index,
            seed=seed,
            instruction=instruction,
            max_steps=max_steps,
            executor=self._new_executor(),
        )
        self._diagnostics.ok(f"episode {self.run.id} is asked for")
        return self.run

    def finish(self, phase: int, reason: str, now: int) -> None:
        """The outcome of the running episode, if one runs."""
        run = self.run
        if run is None or not run.running:
            return
        run.phase, run.reason = phase, reason
        self._homing, self._settled = None, now + round(SETTLE * SECOND)
        if run.start:
            self._status.publish(run.status())
        else:
            run.ready.set_result(reason or run.outcome)
        run.finished.set_result(run.result(self._safety))
        self._diagnostics.ok(f"episode {run.id} ended: {run.outcome}{reason and ': '}{reason}", holds=run.holds)

    def judge(self, phase: int, reason: str, now: int) -> None:
        """What somebody says of how the episode ended: its outcome, or the correction of the one it has.

        Raises CladError when no episode has begun, which can only be aborted, or when the last one was aborted.
        """
        run = self.run
        if run is None or run.phase == EpisodeStatus.ABORTED or not run.start and phase != EpisodeStatus.ABORTED:
            raise CladError("there is no episode to judge", "Start one with /run_episode")
        if run.running:
            self.finish(phase, reason, now)
            return
        run.phase, run.reason = phase, reason
        self._status.publish(run.status())
        self._diagnostics.ok(f"episode {run.id} was judged: {run.outcome}{reason and ': '}{reason}")

    def _check_kinematics(self, measured: Measured) -> None:
        """Deltas are turned into joints by a model of the arm: it must agree with the driver on where the hand is."""
        if self._kinematics is None:
            return
        modelled = self._kinematics.forward(measured.joint_position)[0]
        apart = np.linalg.norm(modelled - measured.ee_position)
        if apart > SAME_PLACE:
            raise CladError(
                f"the driver says that the hand is at {np.round(measured.ee_position, 3)}, driver.model that it is at "
                f"{np.round(modelled, 3)}: {apart:.3f} m apart",
                "Correct driver.model, base_frame or ee_frame in the contract",
            )

    # --- arrivals

    def on_foresight(self, message: LatentForesight) -> None:
        """Only its plan latency is of interest here: the chunk carries its policy's."""
        if self.run is not None and message.episode == self.run.id:
            self.run.latency.planned(message.seq, to_ns(message.plan_latency) / SECOND)

    def on_chunk(self, message: ActionChunk, now: int) -> None:
        run = self.run
        if run is None or not run.running or not run.start or message.episode != run.id:
            return  # of an episode that is over: late, not wrong
        try:
            chunk = timed_chunk(message, self._contract)
        except CladError as error:
            self._refuse(str(error))
            return
        run.latency.received(chunk.obs_stamp, message.foresight_seq, to_ns(message.policy_latency) / SECOND)
        flag = run.executor.accept(chunk, now)
        self._partners.judged(flag)
        if flag == "other_publisher":
            self._refuse(f"action_chunk: {REFUSALS[flag]}")
        elif flag != "accepted":
            self._diagnostics.set(**{f"refused_{flag}": run.executor.refused[flag]})

    def _refuse(self, reason: str) -> None:
        self._refused += 1
        self._diagnostics.error(f"chunk refused: {reason}", refused_chunks=self._refused)

    # --- one control step

    def tick(self, now: int) -> None:
        run, measured = self.run, self._senses.measured()
        instant = self._look(now)
        if run is not None and run.running:
            if run.start:
                self._act(run, measured, now)
            elif self._homing is not None:
                self._go_home(measured, now)
            elif not self._is_home:
                self._leave_for_home(measured, now)
        elif now < self._settled:
            self._send(self._safety.step(None, measured, now), now)
        self._observe(instant)

    def _leave_for_home(self, measured: Measured | None, now: int) -> None:
        """Once the arm and every camera have been heard."""
        try:
            if missing := self._senses.missing():
                if now - self._asked < self._listen:
                    return
                raise CladError(
                    f"nothing has been heard of {', '.join(missing)}", "Start the arm's driver and its cameras"
                )
            self._check_kinematics(measured)
        except CladError as error:
            self.finish(EpisodeStatus.ABORTED, str(error), now)
            return
        self._outputs.rest(measured, now)
        self._homing = Homing(self._contract, measured, now)
        self._diagnostics.ok(f"episode {self.run.id}: on the way home")

    def _go_home(self, measured: Measured, now: int) -> None:
        missing = self._homing.error(measured, now)
        if not missing:
            self._homing, self._is_home = None, True
        elif now > self._homing.deadline:
            self.finish(EpisodeStatus.ABORTED, f"home was not reached: {missing}", now)
            return
        wanted = self._homing.command(measured, now) if self._homing is not None else None
        verdict = self._safety.step(wanted, measured, now)
        self._send(verdict, now)
        if verdict.stopped and wanted is not None:
            self._diagnostics.error(f"on the way home, held by the safety filter: {', '.join(verdict.reasons)}")

    def _act(self, run: Run, measured: Measured | None, now: int) -> None:
        """Execute what is due, as far as the safety filter lets it, and tell what was executed."""
        spec = self._contract.action
        due = run.executor.action(now)
        command = native = None
        reason = self._inputs.trouble(now) or self._hangs or self._partners.reason or HOLDS.get(due.flag, "")
        if not reason and measured is not None:
            native = wire_to_native(due.action, spec)
            following = newest(run.executor.chunks, now + self._period).action
            command = self._converter.command(
                native_to_wire(native, spec),  # there and back: what acts is clipped to the driver's range
                None if following is None else native_to_wire(wire_to_native(following, spec), spec),
                measured,
                self._outputs.reference(now),
            )
        verdict = self._safety.step(command, measured, now)
        self._send(verdict, now)
        source = ExecutedAction.SOURCE_CHUNK
        if command is None or verdict.stopped:
            source, native = ExecutedAction.SOURCE_HOLD, hold_action(spec, run.gripper)
            reason = reason or f"safety: {', '.join(verdict.reasons)}"
            run.holds += 1
            self._diagnostics.warn(f"holding: {reason}", holds=run.holds)
        elif verdict.state == State.CLAMP:
            native = self._converter.executed(verdict.command, measured, float(native[spec.gripper_index]))
            reason = f"clamped: {', '.join(verdict.reasons)}"
        if source == ExecutedAction.SOURCE_CHUNK:
            self._diagnostics.ok(f"episode {run.id} runs", holds=run.holds)
        run.gripper = float(native[spec.gripper_index])
        self._tell(run, native, now, source=source, chunk_seq=due.seq if command is not None else 0, reason=reason)

    def _tell(self, run: Run, native: np.ndarray, now: int, **more) -> None:
        # by the clock, so that a step means the same to the planner; a step never comes twice
        step = max((now - run.start + self._period // 4) // self._period, run.steps)
        idle = hold_action(self._contract.action, run.gripper)
        why = "a control step came too late" if run.steps else "before the first control step"
        for missed in range(run.steps, step):
            at = run.start + missed * self._period
            self._execute(run, idle, missed, at, source=ExecutedAction.SOURCE_HOLD, reason=why)
        self._execute(run, native, step, now, **more)
        if run.steps >= run.max_steps:
            self.finish(EpisodeStatus.TIMEOUT, f"step limit {run.max_steps} reached", now)

    def _execute(self, run: Run, native: np.ndarray, step: int, stamp: int, **more) -> None:
        self._streams.executed(native, stamp=stamp, episode=run.id, step=step, **more)
        run.actions.update(np.asarray(native, dtype=np.float64).tobytes())
        run.steps, run.last = step + 1, stamp

    def _send(self, verdict: Verdict, now: int) -> None:
        if verdict.command is not None:
            self._outputs.send(verdict.command, now)

    def _look(self, now: int) -> Instant | None:
        """The newest observation, without pictures while a camera is late; None while nothing is new."""
        instant = self._senses.look()
        if instant is not None:
            self._seen = now
            images = {camera: image.tobytes() for camera, image in instant.observation.images.items()}
            self._hangs = self._frozen.look(images, instant.observation.ee_position)
            if instant.stamp <= self._told:  # the camera was late, and a newer state was told without it
                return None
        elif now - self._seen > CAMERA_LATE * self._period:
            instant = self._senses.feel()
        return instant

    def _observe(self, instant: Instant | None) -> None:
        """Publish the observation of a running episode; the first one, once the arm is home, begins it."""
        if self._inputs.faults:
            self._diagnostics.warn("; ".join(self._inputs.faults.values()))
        run = self.run
        if instant is None or run is None or not run.running or not self._is_home:
            return
        if not run.start:
            if not instant.observation.images:
                return
            self._start(run, instant)
        run.states.update(instant.observation.joint_position.tobytes())
        run.latency.published(instant.stamp)
        self._told = instant.stamp
        self._streams.state(instant.observation, instant.finger_velocity, instant.stamp)
        self._streams.images(instant.observation, self._senses.intrinsics, instant.stamp)

    def _start(self, run: Run, instant: Instant) -> None:
        run.begin(instant.stamp, instant.observation.images)
        self._status.publish(run.status())
        self._diagnostics.ok(f"episode {run.id} runs", episode=run.id)
        run.ready.set_result("")
