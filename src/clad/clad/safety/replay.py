"""Demonstrations through the safety filter: how often would it have stopped, or changed, what went well?"""

from __future__ import annotations

from dataclasses import dataclass, field

from clad.contract import RobotContract
from clad.data.episode import Episode
from clad.safety.actions import command_of
from clad.safety.filter import SafetyFilter
from clad.safety.types import Measured, State
from clad.stamps import SECOND


@dataclass(slots=True, kw_only=True)
class Replay:
    """Control steps by what became of them, and how often each reason applied."""

    episodes: int = 0
    steps: int = 0
    clamped: int = 0
    stopped: int = 0
    episodes_stopped: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, episode: Episode, contract: RobotContract) -> None:
        """One episode, from rest, each action judged on the state that was measured before it.

        Raises CladError for a contract without limits, or whose actions cannot be judged.
        """
        safety = SafetyFilter(contract)
        before = self.stopped
        for t in range(len(episode)):
            now = SECOND + round(t * SECOND / contract.control_rate)
            measured = Measured(
                stamp=now,
                joint_position=episode.joint_position[t],
                ee_position=episode.ee_position[t],
                ee_quaternion=episode.ee_quaternion[t],
            )
            verdict = safety.step(command_of(episode.executed[t], contract), measured, now)
            self.clamped += verdict.state == State.CLAMP
            self.stopped += verdict.stopped
            for reason in map(str, verdict.reasons):
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
        self.episodes += 1
        self.steps += len(episode)
        self.episodes_stopped += self.stopped > before
