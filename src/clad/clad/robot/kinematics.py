"""Where the hand is for given joints, and which joints bring it to a pose: MuJoCo's kinematics, damped least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from clad.contract import RobotContract, quaternion_wxyz_to_xyzw
from clad.errors import CladError
from clad.robot.arms import ARMS, skeleton
from clad.robot.pose import motion_between

MAX_ITERATIONS = 50
CLOSE = 1e-6  # m and rad: nearer than this is there
NEAR = 0.5  # rad: no solution is farther than this from its seed, however the arm stands
DAMPING = 1e-2  # of least squares, times the remaining error: none at the goal, much when it is far or out of reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """joints: (J,) rad, within their ranges. distance, angle: what is left between hand and goal, m and rad."""

    joints: np.ndarray
    distance: float
    angle: float


class Kinematics:
    """One arm. Not thread-safe: it computes in a MjData of its own."""

    def __init__(self, model: mujoco.MjModel, joint_names: Sequence[str], ee_frame: str) -> None:
        """ee_frame: a site or a body of the model. Raises CladError naming what the model lacks."""
        self._model, self._data = model, mujoco.MjData(model)
        try:
            joints = [model.joint(name) for name in joint_names]
        except KeyError as error:
            raise CladError(
                f"the kinematic model has no such joint: {error}", "Correct driver.model or joint_names"
            ) from error
        self._qpos = np.array([j.qposadr[0] for j in joints])
        self._dof = np.array([j.dofadr[0] for j in joints])
        limited = np.array([bool(j.limited[0]) for j in joints])
        bounds = np.array([j.range for j in joints])
        self._lower = np.where(limited, bounds[:, 0], -np.inf)
        self._upper = np.where(limited, bounds[:, 1], np.inf)
        self._site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, ee_frame)
        self._body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, ee_frame)
        if self._site < 0 and self._body < 0:
            raise CladError(f"the kinematic model has no site or body '{ee_frame}'", "Correct driver.model or ee_frame")

    def forward(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) m and quaternion (4,) xyzw of the hand in the base frame, for joints (J,) rad."""
        self._place(joints)
        if self._site < 0:
            return self._data.xpos[self._body].copy(), quaternion_wxyz_to_xyzw(self._data.xquat[self._body])
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, self._data.site_xmat[self._site])
        return self._data.site_xpos[self._site].copy(), quaternion_wxyz_to_xyzw(quaternion)

    def inverse(self, position: np.ndarray, quaternion: np.ndarray, seed: np.ndarray) -> Solution:
        """The joints near `seed` (J,) that bring the hand to a pose, or as near as they can be brought.

        No joint goes more than NEAR from its seed: near a singularity or out of reach an arm never flips its elbow.
        """
        joints = np.clip(np.asarray(seed, dtype=np.float64), self._lower, self._upper)
        lower, upper = np.maximum(self._lower, joints - NEAR), np.minimum(self._upper, joints + NEAR)
        least, best = np.inf, None
        for _ in range(MAX_ITERATIONS):
            error = motion_between(*self.forward(joints), position, quaternion)
            size = np.linalg.norm(error)
            if best is None or size < least:
                least, best = size, (joints, error)
            if size < CLOSE:
                break
            jacobian = self._jacobian()
            damped = jacobian @ jacobian.T
            damped.flat[::7] += DAMPING * size
            joints = np.minimum(np.maximum(joints + jacobian.T @ np.linalg.solve(damped, error), lower), upper)
        joints, error = best
        return Solution(
            joints=joints, distance=float(np.linalg.norm(error[:3])), angle=float(np.linalg.norm(error[3:]))
        )

    def _place(self, joints: np.ndarray) -> None:
        self._data.qpos[self._qpos] = joints
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)

    def _jacobian(self) -> np.ndarray:
        """(6, J) at the joints of the last `forward`."""
        whole = np.empty((6, self._model.nv))
        if self._site < 0:
            mujoco.mj_jacBody(self._model, self._data, whole[:3], whole[3:], self._body)
        else:
            mujoco.mj_jacSite(self._model, self._data, whole[:3], whole[3:], self._site)
        return whole[:, self._dof]


def load_kinematics(contract: RobotContract) -> Kinematics:
    """The kinematics of a contract's `driver.model`. Raises CladError for a file that MuJoCo cannot read."""
    name = contract.driver.model
    if name in ARMS:
        model = skeleton(name)
    else:
        if not Path(name).is_file():
            raise CladError(
                f"driver.model '{name}' is neither an arm nor a file", f"Arms: {', '.join(ARMS)}; or an MJCF or URDF"
            )
        try:
            model = mujoco.MjModel.from_xml_path(name)
        except ValueError as error:
            raise CladError(f"driver.model {name}: {error}", "Correct the file") from error
    return Kinematics(model, contract.joint_names, contract.ee_frame)
