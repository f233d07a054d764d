"""Every action representation over every kind of driver, against what the words of ActionChunk say it means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from clad.contract import hold_action, load_contract, native_to_wire, wire_to_native
from clad.contract.driver import CARRIES
from clad.robot.commands import Converter
from clad.robot.kinematics import load_kinematics
from clad.robot.pose import motion_between, moved
from clad.safety import CartesianCommand, JointCommand, Measured

FAKE = load_contract("fake")
ARM = load_kinematics(FAKE)
HOME = np.array(FAKE.driver.home)
PERIOD = FAKE.control_period
NAMES = {"JOINT_POSITION": 6, "JOINT_DELTA": 6, "OSC_POSE_DELTA": 6, "EE_POSE": 7, "EE_TWIST": 6}


def contract(kind: str, representation: str):
    n = NAMES[representation] + 1
    action = replace(
        FAKE.action,
        representation=representation,
        names=tuple(f"a{i}" for i in range(n)),
        units=("1",) * n,
        scale=(4.0,) * n if representation in ("JOINT_POSITION", "EE_POSE") else (0.5,) * (n - 1) + (1.0,),
        gripper_index=n - 1,
    )
    return replace(FAKE, action=action, driver=replace(FAKE.driver, kind=kind))


def measured(joints=HOME) -> Measured:
    position, quaternion = ARM.forward(joints)
    return Measured(stamp=0, joint_position=joints, ee_position=position, ee_quaternion=quaternion)


def action_for(representation: str, motion: np.ndarray) -> np.ndarray:
    """The action that moves the hand (or, by joint, every joint) by `motion` from home."""
    here = measured()
    pose = moved(here.ee_position, here.ee_quaternion, motion)
    values = {
        "JOINT_POSITION": HOME + motion,
        "JOINT_DELTA": motion,
        "OSC_POSE_DELTA": motion,
        "EE_POSE": np.concatenate(pose),
        "EE_TWIST": motion / PERIOD,
    }[representation]
    return np.append(values, 1.0)


MOTION = np.array([0.01, -0.005, 0.008, 0.02, 0.03, -0.01])
PAIRS = [(kind, r) for kind, carried in CARRIES.items() for r in carried]


@pytest.mark.parametrize(("kind", "representation"), PAIRS)
def test_a_command_moves_by_what_the_action_says_and_can_be_read_back(kind, representation):
    c = contract(kind, representation)
    converter = Converter(c, ARM)
    here = measured()
    action = action_for(representation, MOTION)
    command = converter.command(action, None, here, HOME)
    assert command.gripper == 1.0
    if kind == "twist":
        assert np.allclose(np.append(command.linear, command.angular) * PERIOD, MOTION, atol=1e-9)
    elif kind == "pose":
        reached = motion_between(here.ee_position, here.ee_quaternion, command.position, command.quaternion)
        assert np.allclose(reached, MOTION, atol=1e-9)
    elif representation.startswith("JOINT"):
        assert np.allclose(command.positions, HOME + MOTION)
    else:
        reached = motion_between(here.ee_position, here.ee_quaternion, *ARM.forward(command.positions))
        assert np.allclose(reached, MOTION, atol=1e-5)
    assert np.allclose(converter.executed(command, here, 1.0), wire_to_native(action, c.action), atol=1e-4)


def test_a_delta_is_added_to_what_is_measured_not_to_what_was_commanded():
    converter, here = Converter(FAKE, ARM), measured()
    delta = native_to_wire(np.array([0.5, 0, 0, 0, 0, 0, -1.0]), FAKE.action)
    ahead = converter.command(delta, None, here, HOME + 0.05)
    assert np.allclose(ARM.forward(ahead.positions)[0] - here.ee_position, delta[:3], atol=1e-5)
    assert ahead.gripper == -1.0


def test_the_velocity_is_that_of_the_way_on_and_zero_at_its_end():
    converter, here = Converter(contract("joint_trajectory", "JOINT_DELTA"), None), measured()
    step = np.append(np.full(6, 0.01), 1.0)
    steady = converter.command(step, step, here, HOME)
    assert np.allclose(steady.velocities, 0.01 / PERIOD)
    assert np.allclose(converter.command(step, None, here, HOME).velocities, 0.0)
    back = converter.command(step, -step, here, HOME)
    assert np.allclose(back.velocities, 0.0)
    lagging = converter.command(step, step, here, HOME + 0.004)  # the arm is 4 mrad behind what it was told
    assert np.allclose(lagging.velocities, 0.006 / PERIOD)


def test_an_action_that_was_changed_reads_back_as_what_was_sent():
    converter, here = Converter(FAKE, ARM), measured()
    wire = native_to_wire(np.array([1.0, 0, 0, 0, 0, 0, 1.0]), FAKE.action)
    command = converter.command(wire, None, here, HOME)
    half = JointCommand(positions=(command.positions + HOME) / 2)
    native = converter.executed(half, here, 1.0)
    assert native[0] == pytest.approx(0.5, abs=0.01) and np.abs(native[1:6]).max() < 0.02
    assert np.allclose(converter.executed(JointCommand(positions=HOME), here, -1.0), hold_action(FAKE.action))


def test_an_absolute_pose_has_a_unit_quaternion_whatever_float32_made_of_it():
    converter = Converter(contract("pose", "EE_POSE"), None)
    quaternion = Rotation.random(rng=np.random.default_rng(0)).as_quat() * 1.01
    command = converter.command(np.array([0.1, 0.2, 0.3, *quaternion, 1.0]), None, measured(), HOME)
    assert isinstance(command, CartesianCommand)
    assert np.linalg.norm(command.quaternion) == pytest.approx(1.0)
