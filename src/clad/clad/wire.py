"""Messages to the library's types, whoever decoded them: rclpy in a node, mcap-ros2-support from a bag.

Both name a message's fields alike, so what a node computes on is, bit for bit, what a replay of its recording computes on.
Whatever arrives is checked against the robot's contract; what does not fit raises a CladError that names the stream and
the fault, so that it can stand in /diagnostics as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clad.contract import Observation, RobotContract
from clad.errors import CladError
from clad.runtime.types import FORESIGHT_ARRAYS, Foresight
from clad.stamps import seconds, to_ns


def image_from_message(message: Any, size: int, stream: str) -> np.ndarray:
    """rgb8 of exactly (size, size) to (H, W, 3) uint8; read-only, it shares the message's memory."""
    if message.encoding != "rgb8":
        raise CladError(f"{stream}: encoding is '{message.encoding}', the contract wants rgb8")
    if (message.height, message.width) != (size, size):
        raise CladError(f"{stream}: image is {message.width}x{message.height}, the contract wants {size}x{size}")
    if message.step != size * 3 or len(message.data) != size * size * 3:
        raise CladError(
            f"{stream}: {len(message.data)} bytes in rows of {message.step} are no {size}x{size} rgb8 image"
        )
    image = np.frombuffer(message.data, dtype=np.uint8).reshape(size, size, 3)
    image.flags.writeable = False
    return image


def observation_from_messages(
    images: Mapping[str, Any], joints: Any, pose: Any, *, step: int, contract: RobotContract
) -> Observation:
    """The observation that messages of one stamp make; joints are found by name, in whatever order they come."""
    fingers = contract.gripper_joint_names
    return Observation(
        step=step,
        images={camera: image_from_message(m, contract.image_size, camera) for camera, m in images.items()},
        joint_position=_by_name(joints, "position", contract.joint_names),
        joint_velocity=_by_name(joints, "velocity", contract.joint_names),
        gripper_position=_by_name(joints, "position", fingers),
        **_pose(pose, contract),
    )


def joints_from_message(message: Any, contract: RobotContract) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities (J + G,) of arm joints and fingers, found by name."""
    names = contract.joint_names + contract.gripper_joint_names
    return _by_name(message, "position", names), _by_name(message, "velocity", names)


def pose_from_message(message: Any, contract: RobotContract) -> tuple[np.ndarray, np.ndarray]:
    """Position (3,) m and unit quaternion (4,) xyzw in the contract's base frame."""
    pose = _pose(message, contract)
    return pose["ee_position"], pose["ee_quaternion"]


def _by_name(message: Any, field: str, names: Sequence[str]) -> np.ndarray:
    index = {name: i for i, name in enumerate(message.name)}
    values = getattr(message, field)
    missing = [name for name in names if name not in index]
    if missing:
        raise CladError(f"joint_states: {', '.join(missing)} missing")
    if len(values) != len(message.name):
        raise CladError(f"joint_states: {len(values)} {field} values for {len(message.name)} names")
    picked = np.array([values[index[name]] for name in names], dtype=np.float64)
    bad = [name for name, finite in zip(names, np.isfinite(picked)) if not finite]
    if bad:
        raise CladError(f"joint_states: {field} of {', '.join(bad)} is not a finite number")
    return picked


def _pose(message: Any, contract: RobotContract) -> dict[str, np.ndarray]:
    if message.header.frame_id != contract.base_frame:
        raise CladError(f"ee_pose: frame is '{message.header.frame_id}', the contract wants '{contract.base_frame}'")
    p, q = message.pose.position, message.pose.orientation
    position, quaternion = np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])
    if not (np.isfinite(position).all() and np.isfinite(quaternion).all()):
        raise CladError("ee_pose: not every number is finite")
    if abs(np.linalg.norm(quaternion) - 1.0) > 1e-3:
        raise CladError("ee_pose: the quaternion is not of unit length")
    return {"ee_position": position, "ee_quaternion": quaternion}


_VECTORS = tuple(name for name in FORESIGHT_ARRAYS if not name.endswith("_foresight"))


def foresight_from_message(message: Any) -> Foresight:
    """The inverse; raises CladError when tokens and values do not go together or a value is not finite."""
    arrays = {
        "proprio_foresight": _tokens(message, "proprio"),
        "semantic_foresight": _tokens(message, "semantic"),
        **{name: _floats(getattr(message, name, ())) for name in _VECTORS},  # older recordings lack some
    }
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise CladError(f"latent_foresight: {name} holds a value that is not finite")
    return Foresight(
        step=message.step,
        seed=message.seed,
        instruction=message.instruction,
        encode_latency=seconds(to_ns(message.encode_latency)),
        plan_latency=seconds(to_ns(message.plan_latency)),
        **arrays,
    )


def _tokens(message: Any, kind: str) -> np.ndarray:
    count = getattr(message, f"{kind}_tokens")
    values = _floats(getattr(message, f"{kind}_foresight"))
    if count == 0 and values.size == 0:
        return values.reshape(0, 0)
    if count == 0 or values.size % count:
        raise CladError(f"latent_foresight: {values.size} {kind}_foresight values do not make {count} tokens")
    return values.reshape(count, -1)


def _floats(values: Any) -> np.ndarray:
    """(n,) float32 of float32[]: an array in rclpy, whose memory it shares, a list from a bag."""
    return np.asarray(values, dtype=np.float32)
