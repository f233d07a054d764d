"""Actions as a simulator or a demonstration has them, as commands that the filter can judge, and back."""

from __future__ import annotations

import numpy as np

from clad.contract import RobotContract, native_to_wire, wire_to_native
from clad.errors import CladError
from clad.safety.types import CartesianCommand, Command, JointCommand

REPRESENTATIONS = ("OSC_POSE_DELTA", "EE_TWIST", "JOINT_POSITION")  # those that are commands without any kinematics


def command_of(action: np.ndarray, contract: RobotContract) -> Command:
    """The command that a native action (N,) is; a pose delta is the twist that covers it in one control period.

    Raises CladError for a representation that takes the arm's kinematics to judge.
    """
    spec = contract.action
    wire = native_to_wire(action, spec)
    gripper = float(action[spec.gripper_index])
    motion = np.delete(wire, spec.gripper_index)
    if spec.representation == "JOINT_POSITION":
        return JointCommand(positions=motion, gripper=gripper)
    if spec.representation not in REPRESENTATIONS:
        raise CladError(
            f"{spec.representation} actions of {contract.name} cannot be judged without the arm's kinematics",
            f"Possible here: {', '.join(REPRESENTATIONS)}",
        )
    twist = motion * contract.control_rate if spec.representation == "OSC_POSE_DELTA" else motion
    return CartesianCommand(linear=twist[:3], angular=twist[3:], gripper=gripper)


def action_of(command: Command, contract: RobotContract, gripper: float) -> np.ndarray:
    """The native action (N,) of a command that `command_of` could have made. gripper: of a command that has none."""
    spec = contract.action
    if isinstance(command, JointCommand):
        motion = command.positions
    else:
        twist = np.append(command.linear, command.angular)
        motion = twist / contract.control_rate if spec.representation == "OSC_POSE_DELTA" else twist
    gripper = gripper if command.gripper is None else command.gripper
    return wire_to_native(np.insert(motion, spec.gripper_index, gripper), spec)
