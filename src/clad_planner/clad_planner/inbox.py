"""What has arrived and what may be planned now. Knows no ROS and no model.

Topics have no order between each other, so an observation may arrive before the actions that led to it, and even before
the news of its episode. It is planned only when all of that is here: a foresight is then the same function of its
episode whatever the network did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clad_ros.stamps import step_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """An episode as /episode tells of it. start: stamp of the first observation, ns."""

    id: int
    start: int
    instruction: str
    seed: int
    lockstep: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanJob:
    """One observation to plan, with the executed actions (step, native action) that the planner has not heard of yet."""

    episode: Episode
    step: int
    stamp: int
    messages: dict[str, Any]
    executed: tuple[tuple[int, np.ndarray], ...]

    @property
    def key(self) -> tuple[int, int]:
        return self.episode.id, self.stamp


def merge_jobs(waiting: PlanJob, newer: PlanJob) -> PlanJob:
    """The newer observation takes the older one's place, but no executed action of its episode is lost."""
    if waiting.episode.id != newer.episode.id:
        return newer
    return PlanJob(
        episode=newer.episode,
        step=newer.step,
        stamp=newer.stamp,
        messages=newer.messages,
        executed=waiting.executed + newer.executed,
    )


class Inbox:
    """Episode news, executed actions and complete observations in; plan jobs out. period: control period, ns."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._episode: Episode | None = None
        self._newest = 0  # number of the last episode that began
        self._actions: dict[int, dict[int, np.ndarray]] = {}  # episode -> step -> native action
        self._handed_over = 0  # actions of the present episode before this step are with the planner
        self._observation: tuple[int, dict[str, Any]] | None = None

    @property
    def episode(self) -> Episode | None:
        """The episode that is running, or None."""
        return self._episode

    def begin(self, episode: Episode, restarted: bool = False) -> bool:
        """An episode runs. False when it was told again (a repeated status); then nothing changes.

        restarted: the robot's clock says that this is another episode, however alike it looks.
        """
        if self._episode == episode and not restarted:
            return False
        again = episode.id <= self._newest  # a robot that was started again counts from one again
        self._actions = {} if again else {i: a for i, a in self._actions.items() if i >= episode.id}
        self._episode, self._newest = episode, episode.id
        self._handed_over = 0
        return True

    def forget_observation(self) -> None:
        """The newest observation is no longer one: its stamp is of another clock."""
        self._observation = None

    def end(self) -> None:
        """No episode runs: observations that still arrive are not planned."""
        self._episode = None

    def executed(self, episode: int, step: int, action: np.ndarray) -> None:
        """An action has begun to act at `step`. Of an episode not known yet it is kept until that begins."""
        if self._episode is None or episode >= self._episode.id:
            self._actions.setdefault(episode, {}).setdefault(step, action)

    def observed(self, stamp: int, messages: dict[str, Any]) -> None:
        """A complete observation of `stamp`, ns; only the newest is kept."""
        if self._observation is None or stamp >= self._observation[0]:
            self._observation = (stamp, messages)

    def job(self) -> PlanJob | None:
        """The newest observation, if it belongs to the running episode and its past is here; None otherwise.

        In lock-step every executed action from the first on must have arrived. In free-run the last one is enough: a
        gap is then the planner's to bridge, for the arm will not wait.
        """
        if self._episode is None or self._observation is None or self._observation[0] < self._episode.start:
            return None
        stamp, messages = self._observation
        step = step_of(stamp, self._episode.start, self._period)
        actions = self._actions.get(self._episode.id, {})
        needed = range(step) if self._episode.lockstep else range(max(step - 1, 0), step)
        if any(s not in actions for s in needed):
            return None
        new = tuple((s, actions[s]) for s in sorted(actions) if self._handed_over <= s < step)
        self._handed_over = max(self._handed_over, step)
        return PlanJob(episode=self._episode, step=step, stamp=stamp, messages=messages, executed=new)
