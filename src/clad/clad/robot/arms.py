"""Arms whose MJCF comes with a package, in their makers' frames. No mesh is copied into this repository."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import mujoco
import numpy as np

from clad.errors import CladError, unknown_name

ARMS = ("ur5e",)


def arm(name: str) -> mujoco.MjSpec:
    """An arm without actuators, its flange a site called tool0. Raises UsageError for an unknown name."""
    if name not in ARMS:
        raise unknown_name("arm", name, ARMS)
    return _ur5e()


def assets() -> Path:
    """robosuite's folder of MJCF, without importing robosuite. Raises CladError where it is not installed."""
    found = importlib.util.find_spec("robosuite")
    if found is None:
        raise CladError("the arm's model comes with robosuite, which is not installed", "pip install robosuite==1.4.0")
    return Path(found.submodule_search_locations[0]) / "models" / "assets"


def skeleton(name: str) -> mujoco.MjModel:
    """The arm without its shapes: all that kinematics needs, compiled in milliseconds."""
    spec = arm(name)
    for part in [*spec.geoms, *spec.meshes]:
        spec.delete(part)
    return spec.compile()


def _ur5e() -> mujoco.MjSpec:
    """A UR5e in its controller's frame `base`, in which the arm stretches to -x when all joints are zero."""
    spec = mujoco.MjSpec.from_file(str(assets() / "robots" / "ur5e" / "robot.xml"))
    spec.compiler.degree = False
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    spec.body("base").quat = [0.0, 0.0, 0.0, 1.0]
    hand = spec.body("right_hand")
    hand.quat = [np.sqrt(0.5), -np.sqrt(0.5), 0.0, 0.0]  # the file has three digits
    hand.add_site(name="tool0")
    return spec
