"""The fake robot's world: a UR5e with a parallel-jaw hand on a table with two blocks, and two cameras.

Arm and hand come from robosuite's files. The world's origin is the arm's base frame; the table top is at z = 0.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import mujoco
import numpy as np

import clad.robot.arms
from clad.robot.arms import arm, assets
from clad.sim.visuals import FastVisuals, cache_folder

TIMESTEP = 0.002  # s
BLOCK = 0.02  # m, half the side of a block
BLOCKS = {"red_block": ((0.45, -0.20), (0.8, 0.1, 0.1, 1.0)), "blue_block": ((0.55, 0.05), (0.1, 0.2, 0.8, 1.0))}


def fake_scene() -> mujoco.MjModel:
    """The compiled scene with decimated visual meshes, kept in the cache: compiling takes seconds."""
    path = cache_folder() / "scenes" / f"fake-{_key()}.mjb"
    if path.is_file():
        try:
            return mujoco.MjModel.from_binary_path(str(path))
        except ValueError:  # truncated by a full disk: make it again
            path.unlink(missing_ok=True)
    model = _scene()
    FastVisuals().decimate(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        mujoco.mj_saveModel(model, f"{folder}/scene.mjb")
        os.replace(f"{folder}/scene.mjb", path)
    return model


def _key() -> str:
    """Of everything that the scene is made from."""
    sources = [Path(__file__), Path(clad.robot.arms.__file__)]
    digest = hashlib.sha256(f"{mujoco.__version__} {assets()}".encode())
    for file in sources:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _scene() -> mujoco.MjModel:
    """Motors `torque_JOINT` drive the arm's joints, the hand's own position servos its fingers."""
    spec = arm("ur5e")
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    joints = [joint.name for joint in spec.joints]
    for camera in list(spec.cameras):
        spec.delete(camera)
    _attach_hand(spec)
    for name in joints:
        motor = spec.add_actuator(name=f"torque_{name}", target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.set_to_motor()
    _furnish(spec.worldbody)
    _cameras(spec)
    model = spec.compile()
    model.vis.quality.offsamples = 0
    return model


def _attach_hand(spec: mujoco.MjSpec) -> None:
    hand = mujoco.MjSpec.from_file(str(assets() / "grippers" / "panda_gripper.xml"))
    hand.compiler.degree = False
    spec.body("right_hand").add_frame().attach_body(hand.body("right_gripper"), "", "")


def _furnish(world: mujoco.MjsBody) -> None:
    box = mujoco.mjtGeom.mjGEOM_BOX
    world.add_light(pos=[0.6, -0.6, 1.8], dir=[-0.2, 0.3, -1.0], diffuse=[0.6] * 3, ambient=[0.3] * 3)
    world.add_geom(name="table", type=box, size=[0.6, 0.7, 0.02], pos=[0.45, 0.0, -0.02], rgba=[0.75, 0.65, 0.5, 1])
    for name, ((x, y), colour) in BLOCKS.items():
        block = world.add_body(name=name, pos=[x, y, BLOCK])
        block.add_freejoint(name=f"{name}_joint")
        block.add_geom(name=name, type=box, size=[BLOCK] * 3, rgba=colour, mass=0.05, friction=[1.0, 0.01, 0.0001])


def _cameras(spec: mujoco.MjSpec) -> None:
    """agentview looks back at the arm over the table; wrist sits beside the flange and looks at the finger tips."""
    eye, at = [0.95, -0.45, 0.5], [0.47, -0.13, 0.06]
    spec.worldbody.add_camera(name="agentview", pos=eye, fovy=45.0, quat=_look(eye, at, [0.0, 0.0, 1.0]))
    eye, at = [0.09, 0.0, 0.0], [0.0, 0.0, 0.17]  # in the flange's frame, whose z goes along the hand
    spec.body("right_hand").add_camera(name="wrist", pos=eye, fovy=75.0, quat=_look(eye, at, [-1.0, 0.0, 0.0]))


def _look(eye: list[float], at: list[float], up: list[float]) -> np.ndarray:
    """Quaternion wxyz of a camera at `eye` that looks at `at`. OpenGL's axes: -z ahead, y up."""
    back = np.subtract(eye, at) / np.linalg.norm(np.subtract(eye, at))
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, np.stack([right, np.cross(back, right), back], axis=1).ravel())
    return quaternion
