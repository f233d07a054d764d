"""Subscriptions to the arm's driver and its cameras; what arrives is checked and handed to Senses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image, JointState

from clad.contract import RobotContract
from clad.errors import CladError
from clad.robot.arrivals import Arrivals
from clad.robot.senses import Senses
from clad_ros import topics
from clad_ros.convert import any_image_from_message, joints_from_message, pose_from_message
from clad_ros.node import CladNode
from clad_ros.stamps import control_period_ns, to_ns


class Inputs:
    """faults: stream -> what is wrong with its last message, in words; empty when all is well."""

    def __init__(self, node: CladNode, contract: RobotContract, senses: Senses) -> None:
        self._node, self._contract, self._senses = node, contract, senses
        self.faults: dict[str, str] = {}
        self._untrue: set[str] = set()  # streams whose last message cannot be used at all
        self._arrivals = Arrivals(["joint_states", "ee_pose", *contract.driver.images], control_period_ns(contract))
        driver, subscribe = contract.driver, node.create_subscription
        self._subscriptions = [
            subscribe(
                JointState, driver.joint_states, self._checked("joint_states", self._on_joints), topics.STATE_QOS
            ),
            subscribe(PoseStamped, driver.ee_pose, self._checked("ee_pose", self._on_pose), topics.STATE_QOS),
        ]
        for camera, topic in driver.images.items():
            on_image = self._checked(camera, partial(self._on_image, camera))
            on_info = self._checked(f"{camera} camera_info", partial(self._on_info, camera))
            self._subscriptions += [
                subscribe(Image, topic, on_image, topics.DRIVER_QOS),
                subscribe(CameraInfo, topics.info_beside(topic), on_info, topics.DRIVER_QOS),
            ]

    def trouble(self, now: int) -> str:
        """Why the arm must hold for what its driver and cameras say, or say no longer; empty when all is well.

        A repeated or overtaken message is none: only when nothing newer follows is its stream late.
        """
        return next((self.faults[stream] for stream in self._untrue), "") or self._arrivals.late(now)

    def destroy(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _checked(self, stream: str, take: Callable) -> Callable:
        def callback(message) -> None:
            try:
                newer = take(message)
            except CladError as error:
                self.faults[stream] = str(error)
                if stream in self._arrivals:
                    self._untrue.add(stream)
                return
            if newer is False:
                self.faults[stream] = f"{stream}: a message is not newer than the one before"
                return
            self.faults.pop(stream, None)
            self._untrue.discard(stream)
            if stream in self._arrivals:
                now = self._node.get_clock().now().nanoseconds
                self._arrivals.note(stream, to_ns(message.header.stamp), now)

        return callback

    def _on_joints(self, message: JointState) -> bool:
        return self._senses.joints(to_ns(message.header.stamp), *joints_from_message(message, self._contract))

    def _on_pose(self, message: PoseStamped) -> bool:
        return self._senses.pose(to_ns(message.header.stamp), *pose_from_message(message, self._contract))

    def _on_image(self, camera: str, message: Image) -> bool:
        return self._senses.picture(camera, to_ns(message.header.stamp), any_image_from_message(message, camera))

    def _on_info(self, camera: str, message: CameraInfo) -> None:
        k = np.array(message.k).reshape(3, 3)
        if message.height and message.width and np.isfinite(k).all():
            self._senses.calibration(camera, k, message.height, message.width)
