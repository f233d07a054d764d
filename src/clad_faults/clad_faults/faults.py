"""The faults: how each is put in and taken away, and what must follow. The suite runs them, one after another.

A fault in a wire or a process must bring the robot to its hold; a fault in a file must be refused before anything moves;
some must change nothing at all. What is expected stands here beside the fault, and nowhere else.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import JointState

from clad_faults.relay import Tamper, drop, frozen, relayed, shifted
from clad_faults.rig import Rig
from clad_interfaces.msg import ActionChunk
from clad_ros import topics

CAMERA = 0  # of Rig.observations: the first camera


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault that the robot must answer by holding still.

    words: part of the reason that bridge, planner or policy must give. inject, clear: put it in, take it away.
    recovery: what brings the robot back, in words; `clear` does it.
    """

    name: str
    injected: str
    words: str
    inject: Callable[[Rig], None]
    clear: Callable[[Rig], None]
    recovery: str = "by itself, with the next good message"


def _tampered(name: str, injected: str, words: str, where: Callable[[Rig], list[str]], tamper: Callable[[], Tamper]):
    """A fault in some wires. tamper: makes one for each."""

    def inject(rig: Rig) -> None:
        for topic in where(rig):
            rig.relays[topic].tamper = tamper()

    def clear(rig: Rig) -> None:
        for topic in where(rig):
            rig.relays[topic].tamper = None

    return Fault(name=name, injected=injected, words=words, inject=inject, clear=clear)


def _camera(rig: Rig) -> list[str]:
    return rig.observations[CAMERA : CAMERA + 1]


def _observations(rig: Rig) -> list[str]:
    return rig.observations


def _drivers_camera(rig: Rig) -> list[str]:
    return [next(iter(rig.contract.driver.images.values()))]


def _drivers_joints(rig: Rig) -> list[str]:
    return [rig.contract.driver.joint_states]


def _joints(rig: Rig) -> list[str]:
    return [topics.JOINT_STATES]


def _edited(change: Callable[[JointState], None]) -> Callable[[], Tamper]:
    def edit(data: bytes) -> list[bytes]:
        message = deserialize_message(data, JointState)
        change(message)
        return [serialize_message(message)]

    return lambda: edit


def _nan(joints: JointState) -> None:
    joints.position[2] = math.nan


def _unnamed(joints: JointState) -> None:
    del joints.name[0], joints.position[0], joints.velocity[0]


def reorder(joints: JointState) -> None:
    """The same joints, last first."""
    joints.name = joints.name[::-1]
    joints.position, joints.velocity = joints.position[::-1], joints.velocity[::-1]


reordered = _edited(reorder)


def _stale(rig: Rig) -> None:
    relay = rig.relays[topics.LATENT_FORESIGHT]
    relay.tamper = lambda data: [relay.old(12)]


def _not_stale(rig: Rig) -> None:
    rig.relays[topics.LATENT_FORESIGHT].tamper = None


def _killed(node: str) -> Fault:
    return Fault(
        name=f"{node}_killed",
        injected=f"SIGKILL to the {node}",
        words=f"the {node} is gone",
        inject=lambda rig: rig.kill(node),
        clear=lambda rig: rig.restart(node),
        recovery=f"start the {node} again; on an arm release the stop with /reset_safety",
    )


def _second_publisher(rig: Rig) -> None:
    """A policy that somebody has forgotten: chunks for the same moments, under another model's name."""
    relay = rig.relays[topics.ACTION_CHUNK]
    rig.intruder = rig.node.create_publisher(ActionChunk, relayed(topics.ACTION_CHUNK), topics.COMMANDING_QOS)
    other = deserialize_message(relay.old(0), ActionChunk)
    other.model_id = "forgotten@000000000000"

    def speak(data: bytes) -> list[bytes]:
        message = deserialize_message(data, ActionChunk)
        message.model_id, message.seq = other.model_id, message.seq + 1000
        rig.intruder.publish(message)
        return [data]

    relay.tamper = speak
    rig.note_harm()


def _one_publisher(rig: Rig) -> None:
    rig.relays[topics.ACTION_CHUNK].tamper = None
    rig.node.destroy_publisher(rig.intruder)


def _best_effort(rig: Rig) -> None:
    """From the next image on, which then is the first that is not heard."""
    relay = rig.relays[rig.observations[CAMERA]]
    take_over = relay.prepare(QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))

    def change(data: bytes) -> list[bytes]:
        take_over()
        rig.note_harm()
        relay.tamper = None
        return [data]

    relay.tamper = change


def _reliable(rig: Rig) -> None:
    rig.relays[rig.observations[CAMERA]].restore()


WIRE_FAULTS: tuple[Fault, ...] = (
    _tampered("camera_stops", "no more images of one camera", "stopped: waiting for", _camera, lambda: drop),
    _tampered("frozen_frame", "one camera repeats its last image with new stamps", "is frozen", _camera, frozen),
    _tampered("nan_joint", "one joint's position is NaN", "is not a finite number", _joints, _edited(_nan)),
    _tampered("missing_joint", "a joint is missing in joint_states", "missing", _joints, _edited(_unnamed)),
    _tampered("clock_forward", "observations stamped 10 s ahead", "jumped", _observations, lambda: shifted(10.0)),
    _tampered("clock_back", "observations stamped 10 s behind", "ran backwards", _observations, lambda: shifted(-10.0)),
    Fault(
        name="stale_foresight",
        injected="each foresight replaced by the one 12 before it",
        words="time was over",
        inject=_stale,
        clear=_not_stale,
    ),
    Fault(
        name="two_publishers",
        injected="a second policy publishes chunks",
        words="two publishers",
        inject=_second_publisher,
        clear=_one_publisher,
        recovery="by itself, once the second one has gone",
    ),
    Fault(
        name="qos_mismatch",
        injected="one camera publishes best effort where reliable is asked for",
        words="stopped: waiting for",
        inject=_best_effort,
        clear=_reliable,
        recovery="by itself, once the camera publishes reliably",
    ),
)


# between an arm's driver and the bridge; the simulator has no such wire
DRIVER_FAULTS: tuple[Fault, ...] = (
    _tampered(
        "camera_stops_at_driver",
        "no more images of one camera reach the bridge",
        "is late: nothing for",
        _drivers_camera,
        lambda: drop,
    ),
    _tampered(
        "frozen_frame_at_driver",
        "one camera's driver repeats its last image with new stamps",
        "is frozen",
        _drivers_camera,
        frozen,
    ),
    _tampered(
        "nan_joint_at_driver",
        "the driver says that one joint's position is NaN",
        "is not a finite number",
        _drivers_joints,
        _edited(_nan),
    ),
)

PROCESS_FAULTS: tuple[Fault, ...] = (_killed("planner"), _killed("policy"))


def full_disk(pid: int, size: int) -> None:
    """No file of this process may grow beyond `size` bytes: writing more fails as on a full disk (EFBIG for ENOSPC)."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def free_disk(pid: int) -> None:
    """Take the limit away."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
