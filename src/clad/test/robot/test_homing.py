"""The way home with every kind of driver, followed by an arm that does what it is told, and by one that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clad.contract import load_contract
from clad.robot.homing import Homing
from clad.robot.kinematics import load_kinematics
from clad.robot.pose import motion_between, moved
from clad.safety import Measured
from clad.stamps import SECOND

FAKE = load_contract("fake")
ARM = load_kinematics(FAKE)
PERIOD = round(SECOND / FAKE.control_rate)
START = np.array(FAKE.driver.home) + [0.4, -0.2, 0.1, 0.0, 0.1, -0.3]


def contract(kind: str):
    if kind == "joint_trajectory":
        return FAKE
    position, quaternion = ARM.forward(np.array(FAKE.driver.home))
    return replace(FAKE, driver=replace(FAKE.driver, kind=kind, home=(*position, *quaternion), home_speed=0.2))


def measured(joints, pose, now) -> Measured:
    return Measured(stamp=now, joint_position=joints, ee_position=pose[0], ee_quaternion=pose[1])


@pytest.mark.parametrize("kind", ["joint_trajectory", "pose", "twist"])
def test_an_obedient_arm_comes_home_at_the_given_speed_in_time(kind):
    c = contract(kind)
    joints, pose, now = START, ARM.forward(START), 0
    homing = Homing(c, measured(joints, pose, now), now)
    assert homing.error(measured(joints, pose, now), now)
    steps = []
    while homing.error(measured(joints, pose, now), now):
        assert now < homing.deadline
        command = homing.command(measured(joints, pose, now), now)
        assert command.gripper == -1.0
        now += PERIOD
        if kind == "joint_trajectory":
            steps.append(np.abs(command.positions - joints).max())
            joints = command.positions
            pose = ARM.forward(joints)
        else:
            if kind == "pose":
                there = command.position, command.quaternion
            else:
                there = moved(*pose, np.concatenate([command.linear, command.angular]) * PERIOD / SECOND)
            steps.append(np.linalg.norm(motion_between(*pose, *there)[:3]))
            pose = there
    assert max(steps) <= c.driver.home_speed * PERIOD / SECOND * 1.01
    assert len(steps) > 10


def test_an_arm_that_does_not_move_is_told_how_far_it_is():
    homing = Homing(FAKE, measured(START, ARM.forward(START), 0), 0)
    assert (
        homing.error(measured(START, ARM.forward(START), 60 * SECOND), 60 * SECOND) == "a joint is 0.400 rad from home"
    )
    assert 10 * SECOND < homing.deadline < 20 * SECOND
    homing = Homing(contract("pose"), measured(START, ARM.forward(START), 0), 0)
    assert " m and " in homing.error(measured(START, ARM.forward(START), 0), 0)
