"""`fake`: a UR5e with physics and rendered cameras, which lays its block down for each episode and judges how that ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from clad.contract import RobotContract
from clad.sim.gl import choose_backend
from clad_fake_robot.cameras import RenderedCameras
from clad_fake_robot.node import ArmNode
from clad_interfaces.msg import EpisodeStatus
from clad_interfaces.srv import SetOutcome
from clad_ros import topics
from clad_ros.node import run_node
from clad_ros.stamps import SECOND

if TYPE_CHECKING:
    from clad_fake_robot.arm import PhysicsArm

HELD = 0.2  # s that the block must be held up


class FakeRobot(ArmNode):
    """The scene is clad_fake_robot.scene's, the task clad_fake_robot.task's.

    It does what a person beside an arm does: between episodes the block is laid elsewhere, and success is told through
    /set_outcome. Episodes count their seeds up, so the next scene is known before its episode begins.
    """

    def __init__(self) -> None:
        super().__init__("fake_robot")
        self.setting("seed", 0, "the first episode's, which says where its block lies")
        self._heard = None

    def make_arm(self, contract: RobotContract) -> PhysicsArm:
        choose_backend()
        from clad_fake_robot.arm import PhysicsArm
        from clad_fake_robot.task import Scene

        arm = PhysicsArm(contract)
        self._scene = Scene(arm.model, arm.data)
        self._lay(self.value("seed"))
        self._running, self._solved_since = False, None
        return arm

    def make_cameras(self, contract: RobotContract) -> RenderedCameras:
        return RenderedCameras(self._arm.model, contract, self._snapshot)

    def configure(self) -> None:
        super().configure()
        self._outcome = self.create_client(SetOutcome, topics.SET_OUTCOME)
        self._heard = self.create_subscription(EpisodeStatus, topics.EPISODE, self._on_episode, topics.EPISODE_QOS)

    def release(self) -> None:
        super().release()
        if self._heard is not None:
            self.destroy_subscription(self._heard)
            self.destroy_client(self._outcome)
            self._heard = None

    def _on_episode(self, status: EpisodeStatus) -> None:
        with self._lock:
            self._running, self._solved_since = status.phase == EpisodeStatus.RUNNING, None
            if self._running and status.seed != self._laid:  # of a run that was resumed
                self._lay(status.seed)
            elif status.phase in (EpisodeStatus.SUCCESS, EpisodeStatus.TIMEOUT):
                self._next = status.seed + 1

    def watch(self, now: int) -> None:
        if self._next != self._laid and self._scene.clear:
            self._lay(self._next)
        if not (self._running and self._scene.solved):
            self._solved_since = None
        elif self._solved_since is None:
            self._solved_since = now
        elif now - self._solved_since > HELD * SECOND:
            self._running = False
            self._outcome.call_async(SetOutcome.Request(outcome="success"))

    def _lay(self, seed: int) -> None:
        self._scene.lay(seed)
        self._laid = self._next = seed

    def _snapshot(self) -> np.ndarray:
        with self._lock:
            return self._arm.data.qpos.copy()


def main() -> None:
    sys.exit(run_node(FakeRobot))
