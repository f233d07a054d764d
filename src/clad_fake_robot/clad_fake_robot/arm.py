"""Two arms that follow a reference: one with physics, one that is where it is told to be at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np

from clad.contract import RobotContract
from clad.robot.kinematics import Kinematics
from clad_fake_robot.scene import TIMESTEP, fake_scene

STIFFNESS, DAMPING = 1600.0, 80.0  # 1/s^2, 1/s: of the servo's error, critically damped at 40 rad/s
READY = np.array([0.0, -1.5708, -1.8326, -1.309, 1.5708, 0.0])  # rad: how the arm stands when it is switched on
TORQUE = np.array([150.0, 150.0, 150.0, 28.0, 28.0, 28.0])  # N m; UR5e


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Positions and velocities of arm joints (J,), rad, and fingers (G,), m; pose of the flange in the base frame."""

    joints: np.ndarray
    joint_velocity: np.ndarray
    fingers: np.ndarray
    finger_velocity: np.ndarray
    ee_position: np.ndarray
    ee_quaternion: np.ndarray


class Arm(Protocol):
    """step_size: s that one step lasts."""

    step_size: float

    def step(self, joints: np.ndarray, velocity: np.ndarray, fingers: np.ndarray) -> None:
        """Follow a reference for one step."""

    def state(self) -> State: ...


class PhysicsArm:
    """MuJoCo. The servo is a computed torque: it compensates gravity and inertia, as an industrial arm's does."""

    step_size = TIMESTEP

    def __init__(self, contract: RobotContract) -> None:
        self.model = model = fake_scene()
        self.data = mujoco.MjData(model)
        joints = [model.joint(name) for name in contract.joint_names]
        fingers = [model.joint(name) for name in contract.gripper_joint_names]
        self._q, self._dof = (np.array([getattr(j, f)[0] for j in joints]) for f in ("qposadr", "dofadr"))
        self._fq, self._fdof = (np.array([getattr(j, f)[0] for j in fingers]) for f in ("qposadr", "dofadr"))
        self._torque = np.array([model.actuator(f"torque_{name}").id for name in contract.joint_names])
        self._servo = np.array([model.actuator(f"gripper_{name}").id for name in contract.gripper_joint_names])
        self._kinematics = Kinematics(model, contract.joint_names, contract.ee_frame)
        self._open = np.array(contract.driver.gripper.open)
        self.stand(READY)

    def stand(self, joints: np.ndarray) -> None:
        """At rest at `joints` (J,) rad with an open hand, at once; everything else in the scene is where it began."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self._q] = joints
        self.data.qpos[self._fq] = self._open
        mujoco.mj_forward(self.model, self.data)

    def step(self, joints: np.ndarray, velocity: np.ndarray, fingers: np.ndarray) -> None:
        model, data = self.model, self.data
        wanted, force = np.zeros(model.nv), np.empty(model.nv)
        wanted[self._dof] = STIFFNESS * (joints - data.qpos[self._q]) + DAMPING * (velocity - data.qvel[self._dof])
        mujoco.mj_mulM(model, data, force, wanted)
        data.ctrl[self._torque] = np.clip((force + data.qfrc_bias)[self._dof], -TORQUE, TORQUE)
        data.ctrl[self._servo] = fingers
        mujoco.mj_step(model, data)

    def state(self) -> State:
        data = self.data
        joints = data.qpos[self._q].copy()
        position, quaternion = self._kinematics.forward(joints)
        return State(
            joints=joints,
            joint_velocity=data.qvel[self._dof].copy(),
            fingers=data.qpos[self._fq].copy(),
            finger_velocity=data.qvel[self._fdof].copy(),
            ee_position=position,
            ee_quaternion=quaternion,
        )


class KinematicArm:
    """No physics: the joints are where the reference is."""

    step_size = 0.01

    def __init__(self, contract: RobotContract, kinematics: Kinematics) -> None:
        self._kinematics = kinematics
        self._joints, self._velocity = READY, np.zeros_like(READY)
        self._fingers = np.array(contract.driver.gripper.open)

    def step(self, joints: np.ndarray, velocity: np.ndarray, fingers: np.ndarray) -> None:
        self._joints, self._velocity, self._fingers = joints, velocity, fingers

    def state(self) -> State:
        position, quaternion = self._kinematics.forward(self._joints)
        return State(
            joints=self._joints,
            joint_velocity=self._velocity,
            fingers=self._fingers,
            finger_velocity=np.zeros_like(self._fingers),
            ee_position=position,
            ee_quaternion=quaternion,
        )
