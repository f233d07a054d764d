"""The filter: one command in, one command out that the arm can be given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from clad.contract import RobotContract
from clad.errors import CladError, UsageError
from clad.safety.limiter import Window
from clad.safety.parse import Bad, parse_command, parse_measured
from clad.safety.tracks import JointTrack, PoseTrack, Track, TwistTrack
from clad.safety.types import CartesianCommand, Command, JointCommand, Measured, Reason, State, Verdict
from clad.stamps import SECOND

LONGEST_STEP = 1.5  # control periods: a command that comes later must be reached in that time all the same


class SafetyFilter:
    """Stands between what a policy wants and what a driver gets. One instance an arm, called once a control step.

    What leaves it is finite, within the limits of position, velocity and acceleration, and able to stop before a limit of
    position; jerk is limited too, except where the arm must brake. A command within the limits passes unchanged. Any other
    is clamped or refused as `limits.policy` says. Without a usable command and a fresh measurement the arm is held: it
    brakes at its acceleration limit and stands. `step` never raises.

    The arm is taken to be at rest where it is measured at the first command, after `restart`, after `reset` of an emergency
    stop, and when measurements or calls come back after longer than `limits.staleness`.
    """

    def __init__(self, contract: RobotContract, *, forward: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
        """forward: (J,) rad -> (3,) m, end effector in the base frame; with it joint commands keep to the workspace too.

        Raises CladError for a contract without limits.
        """
        if contract.limits is None:
            raise CladError(
                f"robot contract {contract.name} has no limits, and nothing moves an arm without them",
                "Add a section `limits:` (docs/safety.md)",
            )
        self._contract, self._limits, self._forward = contract, contract.limits, forward
        self._oldest = round(self._limits.staleness * SECOND)
        self.speed_scale = self._limits.speed_scale
        self.dry_run = False  # judge, but hold
        self._estopped = False
        self.restart()

    @property
    def speed_scale(self) -> float:
        """Multiplies the velocity limits."""
        return self._speed_scale

    @speed_scale.setter
    def speed_scale(self, value: float) -> None:
        """Raises UsageError outside (0, 1]."""
        if not 0 < value <= 1:
            raise UsageError(f"speed_scale {value} is outside (0, 1]", "1 is full speed; the emergency stop stops")
        self._speed_scale = value

    @property
    def estopped(self) -> bool:
        """Whether an emergency stop is latched."""
        return self._estopped

    def estop(self) -> None:
        """Brake and stand until `reset`."""
        self._estopped = True

    def reset(self) -> bool:
        """Release the emergency stop; False, and nothing done, while the arm is still braking."""
        if self._estopped:
            if self._track is not None and not self._track.at_rest:
                return False
            self._estopped = False
            self.restart()
        return True

    def restart(self) -> None:
        """Forget what was commanded: the next command starts from rest where the arm is measured."""
        self._track: Track | None = None
        self._gripper: float | None = None
        self._now: int | None = None
        self._lost = False

    def step(self, command: Command | None, measured: Measured | None, now: int) -> Verdict:
        """What to send at `now`, ns of the clock that stamps are in. None, or anything that is no command, holds."""
        found: set[Reason] = set()
        if self._estopped:
            found.add(Reason.ESTOP)
        if self.dry_run:
            found.add(Reason.DRY_RUN)
        with np.errstate(over="ignore", invalid="ignore"):
            dt = self._elapsed(now, found)
            wanted, state = self._parsed(command, measured, now, found)
            track = self._tracked(wanted, state, now)
            if track is None:
                return _verdict(None, State.HOLD, found)
            if Reason.CLOCK in found:  # no velocity can be told from such a step
                track.rest()
                return _verdict(track.command(self._gripper), State.HOLD, found)
            window = Window(
                velocity=track.velocity,
                acceleration=track.acceleration,
                **track.room(),
                bounds=replace(track.bounds, velocity=track.bounds.velocity * self._speed_scale),
                dt=dt,
            )
            if found <= {Reason.DRY_RUN}:
                outcome = self._follow(track, wanted, state, window, dt, found)
                if outcome is not None:
                    passed = command if outcome == State.PASS else track.command(self._gripper)
                    return _verdict(passed, outcome, found)
            track.move(window.brake(), dt)
            return _verdict(track.command(self._gripper), State.HOLD, found)

    def _elapsed(self, now: int, found: set[Reason]) -> float:
        """Seconds that this step may count on."""
        before, period = self._now, self._contract.control_period
        if before is not None and now - before > self._oldest:
            self.restart()
            before = None
        self._now = now
        if before is None:
            return period
        if now <= before:
            found.add(Reason.CLOCK)
            return period
        return min((now - before) / SECOND, LONGEST_STEP * period)

    def _parsed(self, command, measured, now: int, found: set[Reason]) -> tuple[Command | None, Measured | None]:
        """Command and measurement as far as they can be used; what is wrong with the others is added to `found`."""
        wanted = state = None
        joints = len(self._contract.joint_names)
        try:
            wanted = parse_command(command, joints, now)
        except Bad as bad:
            found.add(bad.reason)
        try:
            state = parse_measured(measured, joints, now, self._oldest, hand=isinstance(command, CartesianCommand))
        except Bad as bad:
            found.add(bad.reason)
        return wanted, state

    def _tracked(self, wanted: Command | None, state: Measured | None, now: int) -> Track | None:
        """The track of this kind of command, begun anew where the arm may have been moved in the meantime."""
        if state is None:
            self._lost = True
            return self._track
        if wanted is not None:
            kind = _kind(wanted)
            moved = self._lost and self._track is not None and self._track.at_rest
            if moved or not isinstance(self._track, kind):
                self._track, self._began = kind(self._contract, state, self._forward), now
            self._lost = False
        if self._track is not None:
            self._track.update(state)
        return self._track

    def _follow(
        self, track: Track, wanted: Command, measured: Measured, window: Window, dt: float, found: set[Reason]
    ) -> State | None:
        """Move the track to the command, or as near as policy and limits let it; None where the arm must brake."""
        target = wanted
        share = _blend((self._now - self._began) / SECOND, self._limits.blend_in)
        if share < 1:
            found.add(Reason.BLEND_IN)
            target = track.blended(target, share)
        near = track.within_reach(target, measured)
        if near is not target:
            found.add(Reason.DEVIATION)
            target = near
        offset = track.offset(target, dt)
        found |= {track.reasons[name] for name in window.broken(offset / dt) | track.overfed(target, window)}
        if Reason.DRY_RUN in found:
            return None
        if wanted.gripper is not None:
            self._gripper = wanted.gripper
        if found <= {Reason.BLEND_IN}:
            if track.admits(offset, dt):
                track.follow(target, dt)
                return State.CLAMP if found else State.PASS
            found.add(Reason.WORKSPACE)
        elif self._limits.policy == "clamp":
            velocity = window.nearest(track.wanted(target, dt))
            if track.admits(velocity * dt, dt):
                track.move(velocity, dt)
                return State.CLAMP
            found.add(Reason.WORKSPACE)
        return None


def _kind(command: Command) -> type[Track]:
    if isinstance(command, JointCommand):
        return JointTrack
    return PoseTrack if command.linear is None else TwistTrack


def _blend(elapsed: float, duration: float) -> float:
    """Share of the command that is followed so long after activation: minimum-jerk from 0 to 1."""
    if elapsed >= duration:
        return 1.0
    s = max(elapsed, 0.0) / duration
    return s**3 * (10 - 15 * s + 6 * s**2)


def _verdict(command: Command | None, state: State, found: set[Reason]) -> Verdict:
    if Reason.ESTOP in found:
        state = State.ESTOP
    return Verdict(command=command, state=state, reasons=tuple(r for r in Reason if r in found))
