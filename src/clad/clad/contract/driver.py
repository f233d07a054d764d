"""How the driver of a real arm is spoken to: the `driver:` section of a robot's contract.

It is no part of the contract's hash: the same robot behind another driver takes the same models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# kind of command -> action representations that it can carry
CARRIES = {
    "joint_trajectory": ("JOINT_POSITION", "JOINT_DELTA", "OSC_POSE_DELTA", "EE_POSE", "EE_TWIST"),
    "twist": ("OSC_POSE_DELTA", "EE_POSE", "EE_TWIST"),
    "pose": ("OSC_POSE_DELTA", "EE_POSE", "EE_TWIST"),
}
CARTESIAN = ("OSC_POSE_DELTA", "EE_POSE", "EE_TWIST")


@dataclass(frozen=True, slots=True, kw_only=True)
class GripperSpec:
    """topic: std_msgs/Float64MultiArray, a forward command controller's. open, close: finger positions, m."""

    topic: str
    open: tuple[float, ...]
    close: tuple[float, ...]

    def fingers(self, command: float) -> np.ndarray:
        """Finger positions (G,) m for a gripper command, -1 open, +1 close, and anything between."""
        is_open, closed = np.array(self.open), np.array(self.close)
        return is_open + (closed - is_open) * (command + 1.0) / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverSpec:
    """Topics of the arm's own driver, cameras included.

    kind: 'joint_trajectory' (trajectory_msgs/JointTrajectory), 'twist' (geometry_msgs/TwistStamped) or 'pose'
    (geometry_msgs/PoseStamped). command, joint_states, ee_pose: topics. images: camera -> topic of its images; its
    camera_info lies beside it. home: where an episode begins; joints (J,) rad for joint_trajectory, else position m
    and quaternion xyzw (7,) in the base frame. home_speed: rad/s of the fastest joint, or m/s.
    model: the arm's kinematics, for Cartesian actions over a joint_trajectory: an arm of clad.robot.arms, or an MJCF
    or URDF file. stop_time: s in which the arm comes to rest when no further command arrives.
    """

    kind: str
    command: str
    joint_states: str
    ee_pose: str
    images: dict[str, str]
    gripper: GripperSpec
    home: tuple[float, ...]
    home_speed: float
    model: str = ""
    stop_time: float = 0.2


def driver_problems(
    driver: DriverSpec, *, joints: int, fingers: int, cameras: set[str], representation: str
) -> list[str]:
    """What does not fit the rest of the contract, in words; empty when all is well."""
    problems = []
    if driver.kind not in CARRIES:
        return [f"driver.kind '{driver.kind}' is none of {', '.join(CARRIES)}"]
    if representation not in CARRIES[driver.kind]:
        problems.append(f"a {driver.kind} driver cannot carry {representation} actions")
    by_joint = driver.kind == "joint_trajectory"
    if len(driver.home) != (joints if by_joint else 7):
        problems.append(f"driver.home has {len(driver.home)} numbers, not {joints if by_joint else 7}")
    if by_joint and representation in CARTESIAN and not driver.model:
        problems.append(f"driver.model is needed for {representation} actions over a joint_trajectory")
    if set(driver.images) != cameras:
        problems.append("driver.images does not name exactly the contract's cameras")
    if not len(driver.gripper.open) == len(driver.gripper.close) == fingers:
        problems.append(f"driver.gripper.open and close are not {fingers} numbers each")
    if not (driver.home_speed > 0 and driver.stop_time > 0):
        problems.append("driver.home_speed and stop_time must be positive")
    return problems
