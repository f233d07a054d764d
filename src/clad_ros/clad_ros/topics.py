"""Names and QoS of every topic, service and action, in one place (table and reasons: docs/architecture.md)."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy


def _reliable(depth: int, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE) -> QoSProfile:
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=durability)


COMMAND_LEASE = 0.05  # s: one control period of 20 Hz
# s: the middleware asserts a publisher's life at least once in the lease that it offers, so several times in COMMAND_LEASE:
# one assertion that comes late on a busy machine is no death
OFFERED_LEASE = 0.02


def _commanding(depth: int, lease: float = COMMAND_LEASE) -> QoSProfile:
    """Of what moves a robot: the middleware tells whoever executes it when its publisher has died (clad_ros.partners)."""
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        liveliness=LivelinessPolicy.AUTOMATIC,
        liveliness_lease_duration=Duration(seconds=lease),
    )


CLOCK, CLOCK_QOS = "/clock", _reliable(1)
IMAGE_QOS = _reliable(5)
JOINT_STATES, EE_POSE, STATE_QOS = "/joint_states", "/ee_pose", _reliable(50)
EXECUTED_ACTION, ACTION_QOS = "/executed_action", _reliable(50)
EPISODE, EPISODE_QOS = "/episode", _reliable(1, DurabilityPolicy.TRANSIENT_LOCAL)
EPISODE_FIGURES, EPISODE_FIGURES_QOS = "/episode_figures", _reliable(1, DurabilityPolicy.TRANSIENT_LOCAL)
LATENT_FORESIGHT, ACTION_CHUNK, INFERENCE_QOS = "/latent_foresight", "/action_chunk", _commanding(5)
COMMANDING_QOS = _commanding(
    5, OFFERED_LEASE
)  # of whoever publishes either of them; an offer may be better than asked for
EVERY_FORESIGHT_QOS = _commanding(50)  # for who only looks on, at whatever time
# for a driver's pictures: best effort hears reliable publishers too, as cameras are often either
DRIVER_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
DIAGNOSTICS, DIAGNOSTICS_QOS = "/diagnostics", _reliable(10)
SAFETY_STATUS, SAFETY_STATUS_QOS = "/safety_status", _reliable(1, DurabilityPolicy.TRANSIENT_LOCAL)
ESTOP, ESTOP_QOS = "/estop", _reliable(10)
# the middleware tells of a process that is gone within the lease, whatever the process was doing
HEARTBEAT_QOS = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    liveliness=LivelinessPolicy.AUTOMATIC,
    liveliness_lease_duration=Duration(seconds=1),
)

RESET_EPISODE, STEP, RUN_EPISODE = "/reset_episode", "/step", "/run_episode"
SET_OUTCOME = "/set_outcome"  # a real arm's episode has no predicate: somebody says how it ended, also after its end
EMERGENCY_STOP, RESET_SAFETY = "/emergency_stop", "/reset_safety"
START_RECORDING, STOP_RECORDING = "/start_recording", "/stop_recording"


def image_topic(camera: str) -> str:
    """Where a camera's images are, e.g. /agentview/image_raw."""
    return f"/{camera}/image_raw"


def camera_info_topic(camera: str) -> str:
    """Where a camera's calibration is, stamped like its images."""
    return f"/{camera}/camera_info"


def info_beside(image_topic: str) -> str:
    """Where the calibration of a driver's image topic is: ROS drivers publish it as its sibling."""
    return f"{image_topic.rsplit('/', 1)[0]}/camera_info"


def heartbeat_topic(node: str) -> str:
    """Where a node tells its lifecycle state once a second; hidden, so that it fills no bag."""
    return f"/{node}/_heartbeat"
