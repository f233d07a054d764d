"""Messages <-> the library's types. Every array, joint name and frame crosses the ROS border here or in clad.wire.

What a bag's messages are turned into as well is in clad.wire, which knows no ROS; nodes import it from here too. Whatever
arrives is checked against the robot's contract; what does not fit raises a CladError that names the stream and the fault.
"""

from __future__ import annotations

import array

import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image, JointState

from clad.bag.pictures import picture
from clad.contract import Observation, RobotContract
from clad.errors import CladError
from clad.runtime.execution import TimedChunk
from clad.runtime.types import Chunk, Foresight
from clad.wire import (
    foresight_from_message,
    image_from_message,
    joints_from_message,
    observation_from_messages,
    pose_from_message,
)
from clad_interfaces.msg import ActionChunk, LatentForesight
from clad_ros.stamps import control_period_ns, duration_msg, seconds_to_ns, time_msg, to_ns

__all__ = [
    "any_image_from_message",
    "camera_info",
    "chunk_to_message",
    "chunk_values",
    "ee_pose_message",
    "foresight_from_message",
    "foresight_to_message",
    "image_from_message",
    "image_to_message",
    "joint_state_message",
    "joints_from_message",
    "observation_from_messages",
    "pose_from_message",
    "timed_chunk",
]

# ---- observations -----------------------------------------------------------------------------------------------


def image_to_message(image: np.ndarray, stamp: int, frame: str) -> Image:
    """(H, W, 3) uint8 rgb, row 0 at the top, to rgb8. `tobytes` because rclpy copies a list element by element."""
    height, width, _ = image.shape
    message = Image(height=height, width=width, encoding="rgb8", is_bigendian=0, step=width * 3, data=image.tobytes())
    message.header.stamp = time_msg(stamp)
    message.header.frame_id = frame
    return message


def any_image_from_message(message: Image, stream: str) -> np.ndarray:
    """A driver's 8-bit picture of any size and order of colours to (H, W, 3) uint8 rgb."""
    try:
        return picture(message)
    except CladError as error:
        raise CladError(f"{stream}: {error}") from error


def camera_info(intrinsics: np.ndarray, size: int, stamp: int, frame: str) -> CameraInfo:
    """CameraInfo of an ideal pinhole camera with matrix K (3, 3) in pixels."""
    k = np.asarray(intrinsics, dtype=np.float64)
    message = CameraInfo(height=size, width=size, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k = k.ravel()
    message.r = np.eye(3).ravel()
    message.p = np.hstack([k, np.zeros((3, 1))]).ravel()
    message.header.stamp = time_msg(stamp)
    message.header.frame_id = frame
    return message


def joint_state_message(
    observation: Observation, gripper_velocity: np.ndarray, contract: RobotContract, stamp: int
) -> JointState:
    """Arm joints (rad, rad/s), then fingers (m, m/s). gripper_velocity: (G,); an Observation does not carry it."""
    message = JointState(name=list(contract.joint_names + contract.gripper_joint_names))
    message.position = _doubles(np.concatenate([observation.joint_position, observation.gripper_position]))
    message.velocity = _doubles(np.concatenate([observation.joint_velocity, gripper_velocity]))
    message.header.stamp = time_msg(stamp)
    message.header.frame_id = contract.base_frame
    return message


def ee_pose_message(observation: Observation, contract: RobotContract, stamp: int) -> PoseStamped:
    """Hand pose in the contract's base frame, quaternion xyzw."""
    message = PoseStamped()
    message.header.stamp = time_msg(stamp)
    message.header.frame_id = contract.base_frame
    p, q = message.pose.position, message.pose.orientation
    p.x, p.y, p.z = (float(v) for v in observation.ee_position)
    q.x, q.y, q.z, q.w = (float(v) for v in observation.ee_quaternion)
    return message


# ---- foresight --------------------------------------------------------------------------------------------------


def foresight_to_message(
    foresight: Foresight, *, stamp: int, seq: int, episode: int, horizon: int, model_id: str, contract: RobotContract
) -> LatentForesight:
    """stamp: the observation's, ns. horizon: tau, control steps."""
    message = LatentForesight(
        seq=seq,
        episode=episode,
        step=foresight.step,
        seed=foresight.seed,
        instruction=foresight.instruction,
        horizon_steps=horizon,
        horizon=duration_msg(horizon * control_period_ns(contract)),
        proprio_tokens=len(foresight.proprio_foresight),
        proprio_foresight=_floats(foresight.proprio_foresight),
        semantic_tokens=len(foresight.semantic_foresight),
        semantic_foresight=_floats(foresight.semantic_foresight),
        semantic_embedding=_floats(foresight.semantic_embedding),
        instruction_embedding=_floats(foresight.instruction_embedding),
        proprio=_floats(foresight.proprio),
        proprio_predicted=_floats(foresight.proprio_predicted),
        proprio_measured=_floats(foresight.proprio_measured),
        semantic_predicted=_floats(foresight.semantic_predicted),
        encode_latency=duration_msg(seconds_to_ns(foresight.encode_latency)),
        plan_latency=duration_msg(seconds_to_ns(foresight.plan_latency)),
        model_id=model_id,
    )
    message.header.stamp = time_msg(stamp)
    message.header.frame_id = contract.base_frame
    return message


# ---- chunks -----------------------------------------------------------------------------------------------------


def chunk_to_message(
    chunk: Chunk, foresight: LatentForesight, *, seq: int, model_id: str, contract: RobotContract
) -> ActionChunk:
    """The chunk made from `foresight`: step 0 is due at the observation's stamp, the last may act until its time is over."""
    spec = contract.action
    period, start = control_period_ns(contract), to_ns(foresight.header.stamp)
    message = ActionChunk(
        seq=seq,
        episode=foresight.episode,
        obs_stamp=foresight.header.stamp,
        foresight_seq=foresight.seq,
        step_dt=duration_msg(period),
        names=list(spec.names),
        units=list(spec.units),
        representation=getattr(ActionChunk, spec.representation),
        steps=len(chunk.values),
        values=_floats(chunk.values),
        valid_until=time_msg(start + len(chunk.values) * period),
        policy_latency=duration_msg(seconds_to_ns(chunk.policy_latency)),
        model_id=model_id,
    )
    message.header.stamp = foresight.header.stamp
    message.header.frame_id = contract.base_frame
    return message


def chunk_values(message: ActionChunk, contract: RobotContract) -> np.ndarray:
    """(H, N) float32 in SI units; raises CladError unless the chunk speaks of exactly this robot's actions."""
    spec = contract.action
    if message.representation != getattr(ActionChunk, spec.representation):
        raise CladError(f"action_chunk: representation {message.representation} is not {spec.representation}")
    if tuple(message.names) != spec.names:
        raise CladError(f"action_chunk: names are {', '.join(message.names)}, the contract's {', '.join(spec.names)}")
    if tuple(message.units) != spec.units:
        raise CladError(f"action_chunk: units are {', '.join(message.units)}, the contract's {', '.join(spec.units)}")
    if to_ns(message.step_dt) <= 0:
        raise CladError("action_chunk: step_dt is not positive")
    if message.steps == 0 or len(message.values) != message.steps * len(spec.names):
        raise CladError(
            f"action_chunk: {len(message.values)} values are not {message.steps} steps of {len(spec.names)}"
        )
    values = np.frombuffer(message.values, dtype=np.float32).reshape(message.steps, len(spec.names))
    if not np.isfinite(values).all():
        raise CladError("action_chunk: a value is not finite")
    return values


def timed_chunk(message: ActionChunk, contract: RobotContract) -> TimedChunk:
    """The chunk with its schedule, for a ChunkExecutor; raises CladError as `chunk_values` does."""
    return TimedChunk(
        values=chunk_values(message, contract),
        start=to_ns(message.header.stamp),
        step_dt=to_ns(message.step_dt),
        valid_until=to_ns(message.valid_until),
        obs_stamp=to_ns(message.obs_stamp),
        seq=message.seq,
        publisher=message.model_id,
    )


def _floats(values: np.ndarray) -> array.array:
    """float32[] as rclpy takes it without a copy per element."""
    return array.array("f", np.ascontiguousarray(values, dtype=np.float32).tobytes())


def _doubles(values: np.ndarray) -> array.array:
    return array.array("d", np.ascontiguousarray(values, dtype=np.float64).tobytes())
