"""What a robot is: streams, joint names, units, frames, image orientation, action representation and scaling."""

from clad.contract.action import hold_action, native_to_wire, wire_to_native
from clad.contract.conventions import (
    canonical_quaternion,
    image_from_opengl,
    image_to_opengl,
    quaternion_wxyz_to_xyzw,
    quaternion_xyzw_to_wxyz,
)
from clad.contract.driver import DriverSpec, GripperSpec
from clad.contract.observation import Observation
from clad.contract.proprio import PROPRIO_VARIANTS, proprio_dim, proprio_vector
from clad.contract.robot import (
    ActionSpec,
    CameraSpec,
    RobotContract,
    contract_data,
    load_contract,
    parse_contract,
)

__all__ = [
    "PROPRIO_VARIANTS",
    "ActionSpec",
    "CameraSpec",
    "DriverSpec",
    "GripperSpec",
    "Observation",
    "RobotContract",
    "canonical_quaternion",
    "contract_data",
    "hold_action",
    "image_from_opengl",
    "image_to_opengl",
    "load_contract",
    "native_to_wire",
    "parse_contract",
    "proprio_dim",
    "proprio_vector",
    "quaternion_wxyz_to_xyzw",
    "quaternion_xyzw_to_wxyz",
    "wire_to_native",
]
