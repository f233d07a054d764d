"""`fake`: a UR5e with physics and rendered cameras."""

from __future__ import annotations

import sys

import numpy as np

from clad.contract import RobotContract
from clad.sim.gl import choose_backend
from clad_fake_robot.cameras import RenderedCameras
from clad_fake_robot.node import ArmNode
from clad_ros.node import run_node


class FakeRobot(ArmNode):
    """The scene is clad_fake_robot.scene's."""

    def __init__(self) -> None:
        super().__init__("fake_robot")

    def make_arm(self, contract: RobotContract):
        choose_backend()
        from clad_fake_robot.arm import PhysicsArm

        return PhysicsArm(contract)

    def make_cameras(self, contract: RobotContract) -> RenderedCameras:
        return RenderedCameras(self._arm.model, contract, self._snapshot)

    def _snapshot(self) -> np.ndarray:
        with self._lock:
            return self._arm.data.qpos.copy()


def main() -> None:
    sys.exit(run_node(FakeRobot))
