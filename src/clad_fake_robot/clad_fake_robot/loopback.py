"""`loopback`: the same arm without physics; its cameras show a test card. For quick tests of everything else."""

from __future__ import annotations

import sys

from clad.contract import RobotContract
from clad.robot.kinematics import load_kinematics
from clad_fake_robot.arm import KinematicArm
from clad_fake_robot.cameras import TestCards
from clad_fake_robot.node import ArmNode
from clad_ros.node import run_node


class LoopbackRobot(ArmNode):
    """Where it is told to be, it is."""

    def __init__(self) -> None:
        super().__init__("loopback_robot")

    def make_arm(self, contract: RobotContract) -> KinematicArm:
        return KinematicArm(contract, load_kinematics(contract))

    def make_cameras(self, contract: RobotContract) -> TestCards:
        return TestCards(contract)


def main() -> None:
    sys.exit(run_node(LoopbackRobot))
