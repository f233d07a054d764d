"""Commands as the messages of the driver that the contract names."""

from __future__ import annotations

import array

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from clad.contract import RobotContract
from clad.robot.trajectory import Trajectory, onward, standing
from clad.safety import CartesianCommand, JointCommand, Measured
from clad.stamps import SECOND
from clad_ros.node import CladNode
from clad_ros.stamps import duration_msg, time_msg

TYPES = {"joint_trajectory": JointTrajectory, "twist": TwistStamped, "pose": PoseStamped}


class Outputs:
    """Joint commands become trajectories, each of which goes on from where the last one is at that moment."""

    def __init__(self, node: CladNode, contract: RobotContract) -> None:
        self._node, self._contract = node, contract
        self._driver = driver = contract.driver
        self._command = node.create_lifecycle_publisher(TYPES[driver.kind], driver.command, 10)
        self._gripper = node.create_lifecycle_publisher(Float64MultiArray, driver.gripper.topic, 10)
        self._trajectory: Trajectory | None = None

    def rest(self, measured: Measured, now: int) -> None:
        """The arm stands where it is measured: the next trajectory starts from there."""
        self._trajectory = standing(measured.joint_position, now)

    def reference(self, now: int) -> np.ndarray:
        """(J,) rad, where the arm is commanded to be at `now`, ns."""
        return self._trajectory.sample(now)[0]

    def send(self, command: JointCommand | CartesianCommand, now: int) -> None:
        """What is to be reached, or the speed to be held, one control period from `now`, ns."""
        if isinstance(command, JointCommand):
            self._send_trajectory(command, now)
        elif command.position is not None:
            message = PoseStamped()
            p, q = message.pose.position, message.pose.orientation
            p.x, p.y, p.z = (float(v) for v in command.position)
            q.x, q.y, q.z, q.w = (float(v) for v in command.quaternion)
            self._publish(message, now)
        else:
            message = TwistStamped()
            linear, angular = message.twist.linear, message.twist.angular
            linear.x, linear.y, linear.z = (float(v) for v in command.linear)
            angular.x, angular.y, angular.z = (float(v) for v in command.angular)
            self._publish(message, now)
        if command.gripper is not None:
            fingers = self._driver.gripper.fingers(command.gripper)
            self._gripper.publish(Float64MultiArray(data=array.array("d", fingers.tobytes())))

    def destroy(self) -> None:
        for publisher in (self._command, self._gripper):
            self._node.destroy_lifecycle_publisher(publisher)

    def _send_trajectory(self, command: JointCommand, now: int) -> None:
        velocity = np.zeros_like(command.positions) if command.velocities is None else command.velocities
        self._trajectory = trajectory = onward(
            self._trajectory,
            now,
            command.positions,
            velocity,
            period=self._contract.control_period,
            stop_time=self._driver.stop_time,
        )
        message = JointTrajectory(joint_names=list(self._contract.joint_names))
        for seconds, position, velocity in zip(trajectory.times, trajectory.positions, trajectory.velocities):
            point = JointTrajectoryPoint(positions=position.tolist(), velocities=velocity.tolist())
            point.time_from_start = duration_msg(round(seconds * SECOND))
            message.points.append(point)
        self._publish(message, now)

    def _publish(self, message, now: int) -> None:
        message.header.stamp = time_msg(now)
        message.header.frame_id = self._contract.base_frame
        self._command.publish(message)
