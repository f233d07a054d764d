"""What every bridge publishes of its robot, simulated or real: same topics, types, QoS, frames and units."""

from __future__ import annotations

import array

import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image, JointState

from clad.contract import Observation, RobotContract
from clad_interfaces.msg import ExecutedAction
from clad_ros import topics
from clad_ros.convert import camera_info, ee_pose_message, image_to_message, joint_state_message
from clad_ros.node import CladNode
from clad_ros.stamps import time_msg


class Streams:
    """Publishes an observation's parts with one stamp: its capture time."""

    def __init__(self, node: CladNode, contract: RobotContract) -> None:
        create = node.create_lifecycle_publisher
        self._node, self._contract = node, contract
        self._joints = create(JointState, topics.JOINT_STATES, topics.STATE_QOS)
        self._pose = create(PoseStamped, topics.EE_POSE, topics.STATE_QOS)
        self._executed = create(ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS)
        self._images = {c: create(Image, topics.image_topic(c), topics.IMAGE_QOS) for c in contract.cameras}
        self._infos = {c: create(CameraInfo, topics.camera_info_topic(c), topics.IMAGE_QOS) for c in contract.cameras}

    def state(self, observation: Observation, finger_velocity: np.ndarray, stamp: int) -> None:
        """Joints and hand pose."""
        self._joints.publish(joint_state_message(observation, finger_velocity, self._contract, stamp))
        self._pose.publish(ee_pose_message(observation, self._contract, stamp))

    def images(self, observation: Observation, intrinsics, stamp: int) -> None:
        """Every camera's image and calibration. intrinsics: camera -> K (3, 3), or None where it is not known."""
        for camera, image in observation.images.items():
            frame, k = self._contract.cameras[camera].frame, intrinsics(camera)
            if k is not None:
                self._infos[camera].publish(camera_info(k, len(image), stamp, frame))
            self._images[camera].publish(image_to_message(image, stamp, frame))

    def executed(
        self,
        action: np.ndarray,
        *,
        stamp: int,
        episode: int,
        step: int,
        source: int,
        chunk_seq: int = 0,
        reason: str = "",
    ) -> ExecutedAction:
        """One native action that begins to act at `stamp`, ns."""
        message = ExecutedAction(
            episode=episode,
            step=step,
            names=list(self._contract.action.names),
            values=array.array("d", np.asarray(action, dtype=np.float64).tobytes()),
            chunk_seq=chunk_seq,
            source=source,
            reason=reason,
        )
        message.header.stamp = time_msg(stamp)
        message.header.frame_id = self._contract.base_frame
        self._executed.publish(message)
        return message

    def executed_again(self, message: ExecutedAction) -> None:
        """Repeat an action message for whoever may have lost it."""
        self._executed.publish(message)

    def destroy(self) -> None:
        for publisher in (self._joints, self._pose, self._executed, *self._images.values(), *self._infos.values()):
            self._node.destroy_lifecycle_publisher(publisher)
