"""What a driver and its cameras tell, each in its own time, and the observations that they make together.

An observation is of the instant at which the first camera took its picture: other cameras give the picture nearest to
it, joints and pose are interpolated to it. Knows no ROS.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from clad.contract import Observation, RobotContract
from clad.robot.history import History
from clad.robot.images import squared, squared_intrinsics
from clad.safety import Measured
from clad.stamps import SECOND

PICTURES = 8  # of a camera that are kept to be matched with another's


@dataclass(slots=True)
class _Camera:
    """pictures: (stamp, image). intrinsics: K (3, 3) of what the contract's size makes of them; None until it is known."""

    pictures: deque = field(default_factory=lambda: deque(maxlen=PICTURES))
    intrinsics: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One observation with its capture time, ns, and what an Observation does not carry: (G,) m/s."""

    stamp: int
    observation: Observation
    finger_velocity: np.ndarray


class Senses:
    """Stamps are in ns of the clock that the driver stamps with. Arrivals that are not newer than the last are dropped."""

    def __init__(self, contract: RobotContract) -> None:
        self._contract = contract
        self._tolerance = round(0.5 * contract.control_period * SECOND)
        self._arm, self._hand = len(contract.joint_names), len(contract.gripper_joint_names)
        self._joints, self._pose = History(), History()
        self._cameras = {camera: _Camera() for camera in contract.cameras}
        self._looked = self._felt = -1  # ns: of the last observation returned, with and without pictures

    # --- arrivals

    def joints(self, stamp: int, position: np.ndarray, velocity: np.ndarray) -> bool:
        """Arm joints, then fingers: (J + G,) each. False when it came out of order."""
        return self._joints.add(stamp, np.concatenate([position, velocity]))

    def pose(self, stamp: int, position: np.ndarray, quaternion: np.ndarray) -> bool:
        """Hand pose in the base frame: (3,) m, (4,) xyzw. False when it came out of order."""
        newest = self._pose.newest
        if newest is not None and newest[1][3:] @ quaternion < 0:
            quaternion = -quaternion  # the same rotation, on the side on which it can be interpolated
        return self._pose.add(stamp, np.concatenate([position, quaternion]))

    def picture(self, camera: str, stamp: int, image: np.ndarray) -> bool:
        """(H, W, 3) uint8 of any size. False when it came out of order."""
        pictures = self._cameras[camera].pictures
        if pictures and stamp <= pictures[-1][0]:
            return False
        pictures.append((stamp, image))
        return True

    def calibration(self, camera: str, k: np.ndarray, height: int, width: int) -> None:
        """Camera matrix K (3, 3), pixels, of the driver's pictures."""
        self._cameras[camera].intrinsics = squared_intrinsics(k, height, width, self._contract.image_size)

    # --- what they make

    def missing(self) -> list[str]:
        """What has not been heard of at all, in words."""
        heard = {"joint_states": self._joints.newest, "ee_pose": self._pose.newest}
        heard.update({camera: c.pictures or None for camera, c in self._cameras.items()})
        return [name for name, newest in heard.items() if newest is None]

    def intrinsics(self, camera: str) -> np.ndarray | None:
        """K (3, 3) of an observation's picture; None while it is not known."""
        return self._cameras[camera].intrinsics

    def measured(self) -> Measured | None:
        """The newest joints and pose, as old as the older of the two; None until there are both."""
        joints, pose = self._joints.newest, self._pose.newest
        if joints is None or pose is None:
            return None
        position, quaternion = _pose(pose[1])
        return Measured(
            stamp=min(joints[0], pose[0]),
            joint_position=joints[1][: self._arm],
            ee_position=position,
            ee_quaternion=quaternion,
        )

    def look(self) -> Instant | None:
        """The newest complete observation that was not returned before; None when there is no new one."""
        first, *others = self._cameras
        for stamp, image in reversed(self._cameras[first].pictures):
            if stamp <= self._looked:
                return None
            joints, pose = self._joints.at(stamp), self._pose.at(stamp)
            nearest = {camera: self._nearest(camera, stamp) for camera in others}
            if joints is not None and pose is not None and None not in nearest.values():
                self._looked = stamp
                return self._instant(stamp, joints, pose, {first: image, **{c: p[1] for c, p in nearest.items()}})
        return None

    def feel(self) -> Instant | None:
        """The newest state without pictures, for when a camera is late; None when it was returned before."""
        measured = self.measured()
        if measured is None or measured.stamp <= max(self._felt, self._looked):
            return None
        joints, pose = self._joints.at(measured.stamp), self._pose.at(measured.stamp)
        if joints is None or pose is None:
            return None
        self._felt = measured.stamp
        return self._instant(measured.stamp, joints, pose, {})

    def _nearest(self, camera: str, stamp: int):
        pictures = self._cameras[camera].pictures
        nearest = min(pictures, key=lambda p: abs(p[0] - stamp), default=None)
        return nearest if nearest is not None and abs(nearest[0] - stamp) <= self._tolerance else None

    def _instant(self, stamp: int, joints: np.ndarray, pose: np.ndarray, pictures: dict[str, np.ndarray]) -> Instant:
        arm, hand = self._arm, self._hand
        position, velocity = joints[: arm + hand], joints[arm + hand :]
        ee_position, ee_quaternion = _pose(pose)
        size = self._contract.image_size
        observation = Observation(
            step=0,  # the receiver's to know, from the stamp
            images={camera: squared(image, size) for camera, image in pictures.items()},
            joint_position=position[:arm],
            joint_velocity=velocity[:arm],
            gripper_position=position[arm:],
            ee_position=ee_position,
            ee_quaternion=ee_quaternion,
        )
        return Instant(stamp=stamp, observation=observation, finger_velocity=velocity[arm:])


def _pose(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return value[:3], value[3:] / np.linalg.norm(value[3:])
