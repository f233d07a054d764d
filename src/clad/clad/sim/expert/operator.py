"""Moving the hand: closed-loop primitives on top of the ordinary 7-D action.

What the numbers mean. A native action of 1 sets the controller's goal 5 cm (0.5 rad) away from the present pose; the
hand then moves at about 1.5 cm a control step. `clip(20 * error)` converges without overshoot to 2-5 mm. The gripper
takes 6-12 steps to close on something and 6-8 to open.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from clad.contract import Observation
from clad.sim.expert.noise import Mishaps
from clad.sim.expert.privileged import Privileged
from clad.sim.libero_env import LiberoEnv

OPEN, CLOSED = -1.0, 1.0
_POSITION_GAIN, _ROTATION_GAIN, _TURN_LIMIT = 20.0, 6.0, 0.5
_EMPTY = 0.004  # m between the fingers below which nothing is held

# the hand pointing down at the home yaw, in the grip site's frame: fingers open along world y
_DOWN = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


def pointing_down(yaw: float) -> np.ndarray:
    """(3, 3) orientation of the grip site with the hand pointing down, turned by `yaw` rad about the world's z."""
    return Rotation.from_euler("z", yaw).as_matrix() @ _DOWN


class EpisodeOver(Exception):
    """Ends a script from inside: `success`, or the reason why not."""

    def __init__(self, success: bool, reason: str) -> None:
        super().__init__(reason)
        self.success, self.reason = success, reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One control step as the operator lived it. state: flat MuJoCo state before the action."""

    observation: Observation
    state: np.ndarray
    expert: np.ndarray
    executed: np.ndarray
    label_valid: bool


class Operator:
    """Drives one episode of a LiberoEnv that has just been reset; every step goes through `act`."""

    def __init__(
        self,
        env: LiberoEnv,
        *,
        max_steps: int,
        noise: Callable[[np.ndarray], np.ndarray] = lambda action: action,
        mishaps: Mishaps | None = None,
        rng: np.random.Generator | None = None,
        speed: float = 1.0,
        images: bool = False,
        on_step: Callable[[Transition], None] = lambda transition: None,
    ) -> None:
        """rng: for details of mishaps. speed: fraction of full speed. images: whether observations carry them.

        on_step: told of every step, before it is executed.
        """
        self.scene = Privileged(env)
        self.rng = rng or np.random.default_rng(0)
        self.steps = 0
        mishaps = mishaps or Mishaps()
        self._early_close, self._off_target = mishaps.early_close, mishaps.off_target
        self._env, self._max_steps, self._noise, self._speed = env, max_steps, noise, speed
        self._images, self._on_step, self._valid = images, on_step, True
        self._kicks = {kick.start: kick for kick in mishaps.kicks}
        self._observation = env.observe(images)

    # --- state

    @property
    def hand(self) -> np.ndarray:
        """(3,) grip site."""
        return self.scene.hand

    @property
    def opening(self) -> float:
        """Metres between the finger pads."""
        return float(np.abs(self._observation.gripper_position).sum())

    @property
    def holding(self) -> bool:
        """Whether the closed fingers have something between them."""
        return self.opening > _EMPTY

    # --- mishaps that skills have to act out; each happens once

    def take_early_close(self) -> bool:
        """Whether the grasp at hand is to close above its object."""
        due, self._early_close = self._early_close, False
        return due

    def take_off_target(self) -> np.ndarray | None:
        """By how much (2,), metres, the insertion at hand is to miss; None: not at all."""
        due, self._off_target = self._off_target, None
        return due

    # --- steps

    def act(self, motion: np.ndarray, gripper: float) -> None:
        """One control step: motion (6,) native, clipped. Raises EpisodeOver on success or at the step limit."""
        kick = self._kicks.pop(self.steps, None)
        if kick is not None:
            with self.mistake():
                for _ in range(kick.steps):
                    if self.scene.stretched:
                        break
                    self._execute(np.append(kick.motion, gripper))
        self._execute(np.append(np.clip(motion, -1.0, 1.0), gripper))

    @contextlib.contextmanager
    def mistake(self) -> Iterator[None]:
        """Steps in this block are wrong on purpose: recorded, but marked as not worth imitating."""
        before, self._valid = self._valid, False
        try:
            yield
        finally:
            self._valid = before

    def _execute(self, action: np.ndarray) -> None:
        executed = self._noise(action)
        self._on_step(
            Transition(
                observation=self._observation,
                state=self._env.state(),
                expert=action,
                executed=executed,
                label_valid=self._valid,
            )
        )
        result = self._env.step(executed)
        self.steps += 1
        if result.done:
            raise EpisodeOver(True, "success")
        if self.steps >= self._max_steps:
            raise EpisodeOver(False, "step limit")
        self._observation = self._env.observe(self._images)

    # --- primitives

    def move(
        self,
        target: np.ndarray | Callable[[], np.ndarray],
        rotation: np.ndarray,
        gripper: float,
        *,
        tolerance: float = 0.006,
        turn_tolerance: float = 0.08,
        limit: int = 80,
    ) -> bool:
        """Go straight to `target` (3,), or to where it is now if it is a function. Returns whether it got there.

        Gives up when blocked (no progress towards the target for 10 steps) and after `limit` steps. The tolerance
        widens after 20 steps, so that noise does not keep the hand hovering.
        """
        where = target if callable(target) else lambda: target
        best, since_best = np.inf, 0
        for step in range(limit):
            error = np.asarray(where(), dtype=float) - self.hand
            turn = self._turn(rotation)
            distance, angle = np.linalg.norm(error), np.linalg.norm(turn)
            slack = 1.0 + max(0, step - 20) / 10
            if distance < tolerance * slack and angle < turn_tolerance * slack:
                return True
            remaining = distance + 0.1 * angle
            since_best = 0 if remaining < best - 0.001 else since_best + 1
            best = min(best, remaining)
            if since_best >= 10:
                return False
            velocity = self.toward(where())
            fastest = np.abs(velocity).max()
            if fastest > self._speed:
                velocity *= self._speed / fastest  # keep the direction: straight lines
            self.act(np.append(velocity, self.turning_to(rotation)), gripper)
        return False

    def toward(self, position: np.ndarray) -> np.ndarray:
        """(3,) native motion that brings the hand to a position; not clipped."""
        return _POSITION_GAIN * (np.asarray(position, dtype=float) - self.hand)

    def turning_to(self, rotation: np.ndarray) -> np.ndarray:
        """(3,) native turn that brings the hand to an orientation (3, 3)."""
        return np.clip(_ROTATION_GAIN * self._turn(rotation), -_TURN_LIMIT, _TURN_LIMIT)

    def _turn(self, rotation: np.ndarray) -> np.ndarray:
        return Rotation.from_matrix(rotation @ self.scene.hand_rotation.T).as_rotvec()

    def stay(self, steps: int, gripper: float) -> None:
        """Keep the present position for some steps."""
        position = self.hand
        for _ in range(steps):
            self.act(np.append(self.toward(position), np.zeros(3)), gripper)

    def close(self) -> bool:
        """Close until the fingers have come to rest; returns whether they hold something."""
        self._grip(CLOSED)
        return self.holding

    def open(self) -> None:
        """Open until the fingers have come to rest."""
        self._grip(OPEN)

    def _grip(self, gripper: float) -> None:
        position, moved = self.hand, False
        for step in range(16):
            before = self.opening
            self.act(np.append(self.toward(position), np.zeros(3)), gripper)
            change = abs(self.opening - before)
            moved |= change > 0.002
            if (moved or step >= 8) and change < 0.0008:
                return
