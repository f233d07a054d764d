"""An arm and its cameras as a node: what their drivers would subscribe to and publish.

Three threads: the executor takes commands, one steps the arm by the wall clock and publishes its state, one takes pictures.
"""

from __future__ import annotations

import array
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from clad.contract import RobotContract, load_contract
from clad.errors import CladError
from clad_ros import topics
from clad_ros.convert import camera_info, image_to_message
from clad_ros.node import CladNode
from clad_ros.stamps import SECOND, time_msg, to_ns

if TYPE_CHECKING:  # a subclass chooses how MuJoCo draws before anything imports it
    from clad_fake_robot.arm import Arm, State
    from clad_fake_robot.cameras import Cameras

STATE_PERIOD = 0.01  # s between joint states
FARTHEST_BEHIND = 0.1  # s that the arm may lag behind the wall clock before it gives the time up


class ArmNode(CladNode):
    """What both robots share. Subclasses make the arm and its cameras."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.setting("contract", "fake", "the robot: a shipped contract's name or a YAML file")
        self.setting("camera_rate", 20.0, "pictures per second, as far as the machine can draw them")
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()

    def make_arm(self, contract: RobotContract) -> Arm:
        raise NotImplementedError

    def make_cameras(self, contract: RobotContract) -> Cameras:
        """Called in the thread that will take the pictures."""
        raise NotImplementedError

    def watch(self, now: int) -> None:
        """Called after each few steps of the arm, at `now`, ns, with the lock held."""

    def configure(self) -> None:
        self._contract = contract = load_contract(self.value("contract"))
        if contract.driver is None:
            raise CladError(f"robot contract {contract.name} has no driver to stand in for", "Choose another robot")
        if not 0 < self.value("camera_rate") <= 1000:
            raise CladError(f"camera_rate {self.value('camera_rate')} Hz is impossible", "Give e.g. 20")
        self._lock = threading.Lock()  # of arm and controller
        self._arm = self.make_arm(contract)
        from clad.robot.kinematics import load_kinematics
        from clad_fake_robot.controller import Controller

        self._fingers = np.array(contract.driver.gripper.open)
        self._controller = Controller(
            contract.joint_names,
            self._arm.state().joints,
            load_kinematics(contract),
            period=contract.control_period,
            now=self._now(),
        )
        self._create(contract)
        self._stop.clear()
        self._threads = [threading.Thread(target=self._guarded, args=(f,)) for f in (self._move, self._film)]
        for thread in self._threads:
            thread.start()

    def release(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._threads:
            for entity in self._inputs:
                self.destroy_subscription(entity)
            for publisher in (self._joints, self._pose, *self._images.values(), *self._infos.values()):
                self.destroy_lifecycle_publisher(publisher)
        self._threads = []

    def _create(self, contract: RobotContract) -> None:
        driver, publish = contract.driver, self.create_lifecycle_publisher
        self._joints = publish(JointState, driver.joint_states, topics.STATE_QOS)
        self._pose = publish(PoseStamped, driver.ee_pose, topics.STATE_QOS)
        self._images = {c: publish(Image, topic, topics.IMAGE_QOS) for c, topic in driver.images.items()}
        self._infos = {
            c: publish(CameraInfo, topics.info_beside(topic), topics.IMAGE_QOS) for c, topic in driver.images.items()
        }
        take = {
            "joint_trajectory": (JointTrajectory, self._on_trajectory),
            "pose": (PoseStamped, self._on_pose),
            "twist": (TwistStamped, self._on_twist),
        }[driver.kind]
        self._inputs = [
            self.create_subscription(take[0], driver.command, take[1], 10),
            self.create_subscription(Float64MultiArray, driver.gripper.topic, self._on_gripper, 10),
        ]

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    # --- commands, on the executor's thread

    def _on_trajectory(self, message: JointTrajectory) -> None:
        try:
            with self._lock:
                self._controller.take_trajectory(
                    message.joint_names,
                    [p.positions for p in message.points],
                    [p.velocities for p in message.points],
                    [to_ns(p.time_from_start) for p in message.points],
                    stamp=to_ns(message.header.stamp),
                    now=self._now(),
                )
        except CladError as error:
            self.diagnostics.error(str(error))
            return
        self.diagnostics.ok("following", largest_jump_rad=f"{self._controller.largest_jump:.6f}")

    def _on_pose(self, message: PoseStamped) -> None:
        p, q = message.pose.position, message.pose.orientation
        position, quaternion = np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])
        if not np.isfinite([*position, *quaternion]).all() or abs(np.linalg.norm(quaternion) - 1) > 1e-3:
            self.diagnostics.error("pose refused: it is not finite or its quaternion is not of unit length")
            return
        with self._lock:
            self._controller.take_pose(position, quaternion, self._now())

    def _on_twist(self, message: TwistStamped) -> None:
        linear, angular = (np.array([v.x, v.y, v.z]) for v in (message.twist.linear, message.twist.angular))
        if not np.isfinite([*linear, *angular]).all():
            self.diagnostics.error("twist refused: it is not finite")
            return
        with self._lock:
            self._controller.take_twist(linear, angular, self._now())

    def _on_gripper(self, message: Float64MultiArray) -> None:
        fingers = np.array(message.data)
        if fingers.shape != self._fingers.shape or not np.isfinite(fingers).all():
            self.diagnostics.error(f"gripper command refused: {fingers.tolist()}")
            return
        self._fingers = fingers

    # --- the other threads

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            if not self.context.ok():  # the process is ending, and nothing can be published any more
                return
            traceback.print_exc()
            self.diagnostics.error(f"the robot has failed: {error!r}")

    def _move(self) -> None:
        """Step by the wall clock; what cannot be made up for is given up, so that the arm never rushes."""
        step = round(self._arm.step_size * SECOND)
        done = self._now()
        while not self._stop.wait(STATE_PERIOD):
            now = self._now()
            if now - done > FARTHEST_BEHIND * SECOND:
                self.diagnostics.warn("the machine is too slow for this robot", late_s=f"{(now - done) / SECOND:.2f}")
                done = now - step
            with self._lock:
                while done + step <= now:
                    done += step
                    self._arm.step(*self._controller.reference(done), self._fingers)
                self.watch(done)
                state = self._arm.state()
            if self.active:
                self._publish_state(state, done)

    def _publish_state(self, state: State, stamp: int) -> None:
        contract = self._contract
        joints = JointState(name=list(contract.joint_names + contract.gripper_joint_names))
        joints.position = array.array("d", np.concatenate([state.joints, state.fingers]).tobytes())
        joints.velocity = array.array("d", np.concatenate([state.joint_velocity, state.finger_velocity]).tobytes())
        pose = PoseStamped()
        p, q = pose.pose.position, pose.pose.orientation
        p.x, p.y, p.z = (float(v) for v in state.ee_position)
        q.x, q.y, q.z, q.w = (float(v) for v in state.ee_quaternion)
        for message in (joints, pose):
            message.header.stamp = time_msg(stamp)
            message.header.frame_id = contract.base_frame
        self._joints.publish(joints)
        self._pose.publish(pose)

    def _film(self) -> None:
        cameras = self.make_cameras(self._contract)
        period = 1.0 / self.value("camera_rate")
        due = time.monotonic()
        try:
            while not self._stop.wait(max(due - time.monotonic(), 0.0)):
                due = max(due + period, time.monotonic())
                stamp = self._now()
                pictures = cameras.pictures()
                if not self.active:
                    continue
                for camera, picture in pictures.items():
                    frame = self._contract.cameras[camera].frame
                    info = camera_info(cameras.intrinsics(camera), len(picture), stamp, frame)
                    self._infos[camera].publish(info)
                    self._images[camera].publish(image_to_message(picture, stamp, frame))
        finally:
            cameras.close()
