"""A robot as the planner sees it, played by a test: random observations and executed actions on the real topics."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image, JointState

from clad.contract import Observation, load_contract
from clad_interfaces.msg import EpisodeStatus, ExecutedAction
from clad_ros import topics
from clad_ros.convert import ee_pose_message, image_to_message, joint_state_message
from clad_ros.stamps import SECOND, control_period_ns, time_msg

CONTRACT = load_contract("libero")
PERIOD = control_period_ns(CONTRACT)


def observation(step: int) -> Observation:
    rng = np.random.default_rng(step)
    return Observation(
        step=step,
        images={c: rng.integers(0, 256, (128, 128, 3), dtype=np.uint8) for c in CONTRACT.cameras},
        joint_position=rng.uniform(-1, 1, 7),
        joint_velocity=rng.uniform(-1, 1, 7),
        gripper_position=rng.uniform(0, 0.04, 2),
        ee_position=rng.uniform(-1, 1, 3),
        ee_quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
    )


class Robot:
    """Publishes what a robot publishes; `start` keeps growing, as sim time does."""

    def __init__(self, graph) -> None:
        publish = graph.publisher
        self.images = {c: publish(Image, topics.image_topic(c), topics.IMAGE_QOS) for c in CONTRACT.cameras}
        self.joints = publish(JointState, topics.JOINT_STATES, topics.STATE_QOS)
        self.pose = publish(PoseStamped, topics.EE_POSE, topics.STATE_QOS)
        self.actions = publish(ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS)
        self.status = publish(EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS)
        self.episode, self.start = 0, 0

    def begin(self, mode: str = "lockstep", instruction: str = "put the book in") -> None:
        self.episode += 1
        self.start += 100 * SECOND
        message = EpisodeStatus(
            episode=self.episode, phase=EpisodeStatus.RUNNING, instruction=instruction, seed=4, mode=mode
        )
        message.header.stamp = time_msg(self.start)
        self.status.publish(message)

    def observe(self, o: Observation, damage=lambda joints: None) -> None:
        stamp = self.start + o.step * PERIOD
        for camera, image in o.images.items():
            self.images[camera].publish(image_to_message(image, stamp, CONTRACT.cameras[camera].frame))
        joints = joint_state_message(o, np.zeros(2), CONTRACT, stamp)
        damage(joints)
        self.joints.publish(joints)
        self.pose.publish(ee_pose_message(o, CONTRACT, stamp))

    def execute(self, step: int, action: np.ndarray) -> None:
        names = list(CONTRACT.action.names)
        self.actions.publish(ExecutedAction(episode=self.episode, step=step, names=names, values=action.tolist()))
