"""Episodes out of rosbag2 MCAP bags: clad_recorder's, or anyone's that satisfy the contract. Needs no ROS: a bag has its
message definitions with it.

A bag of ours is one episode, a long `ros2 bag record` may hold several. Row t is what was published with the stamp at which
executed action t began to act: joints, hand pose and, where the robot was looked at, images. In lock-step that is every
`execute_steps` control steps; between two looks a row holds the last images and `image_valid` is False. On an arm, whose
cameras and joints have stamps of their own, row t is the newest that was known then.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clad.bag.reader import read_metadata
from clad.contract import RobotContract, load_contract
from clad.data import embedded
from clad.data.bag_runs import (
    EPISODE,
    EXECUTED_ACTION,
    Run,
    episode_names,
    in_order,
    run_named,
    stamp_of,
    typed_messages,
)
from clad.data.episode import Episode
from clad.errors import CladError
from clad.stamps import SECOND

__all__ = ["Told", "embedded_contract", "episode_names", "fingerprint", "read_episode"]

JOINT_STATES, EE_POSE = "/joint_states", "/ee_pose"
STATE_TYPES = {JOINT_STATES: "sensor_msgs/msg/JointState", EE_POSE: "geometry_msgs/msg/PoseStamped"}
IMAGE_TYPE = "sensor_msgs/msg/Image"
OUTCOMES = ("idle", "running", "success", "timeout", "aborted")  # EpisodeStatus.phase
SIMULATED = ("exact", "classic", "sampled")  # protocols under which all that belongs together has one stamp
ARM_LATE = 3.0  # control periods that a state may be older than the action that it led to, on an arm
OFF_RATE = 0.1  # part of the control period by which actions may come faster or slower
_CHUNK, _HOLD, _SERVICE = 1, 2, 3  # ExecutedAction.source
_NOT_META = ("started", "contract", "contract_hash", embedded.KEY)  # of the recording, not of the episode


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a person says of recordings that do not say it themselves. outcome: success, failure or "" for unknown."""

    instruction: str = ""
    outcome: str = ""


@dataclass(slots=True, kw_only=True)
class _Streams:
    """What was observed, by stamp (ns). Repeated messages fall together."""

    joints: dict[int, Any] = field(default_factory=dict)
    poses: dict[int, Any] = field(default_factory=dict)
    images: dict[str, dict[int, Any]]


def read_episode(path: Path, name: str, contract: RobotContract, told: Told = Told()) -> Episode:
    """One episode of a bag. Raises CladError naming bag, step and topic for whatever is missing or of another robot.

    `executed` are the native actions as the driver got them, bit for bit; `expert` equals them. `label_valid`: steps of an
    episode that ended in success, but for those at which the robot held for want of a plan. Where a person took over from
    a policy, the person's steps are imitated whatever came of it: they are the correction. meta: what the recording was
    started with, and outcome, reason, scene_hash; `corrections`, the number of such steps, where there are any.
    told: used where the bag is silent.
    """
    metadata = read_metadata(path)
    if (recorded := metadata.get("contract_hash", contract.hash)) != contract.hash:
        embedded.refuse(path, metadata.get("contract"), recorded, contract)
    run = run_named(path, name)
    actions = in_order(path, run, contract)
    executed = np.array([message.values for message in actions], dtype=np.float64)
    meta = _meta(path, metadata, run, told)
    digest = hashlib.sha256(executed.tobytes()).hexdigest()
    if run.statuses and run.statuses[-1].action_hash not in ("", digest):
        raise CladError(f"{path}: the actions do not add up to the episode's action_hash", "The bag was altered")
    stamps = [stamp_of(message) for message in actions]
    _check_rate(path, stamps, contract)
    late = 0 if meta["protocol"] in SIMULATED else round(ARM_LATE * contract.control_period * SECOND)
    streams = _streams(path, contract, stamps[0] - late, stamps[-1])
    joints = _at_steps(path, JOINT_STATES, streams.joints, stamps, late)
    poses = [message.pose for message in _at_steps(path, EE_POSE, streams.poses, stamps, late)]
    images, looked = _images(path, streams, stamps, late, contract)
    source = np.array([message.source for message in actions])
    valid = (source != _HOLD) & (meta["outcome"] == "success")
    by_person = source == _SERVICE
    if by_person.any() and (source == _CHUNK).any():
        valid |= by_person
        meta["corrections"] = int(by_person.sum())
    return Episode(
        name=name,
        instruction=meta.pop("instruction"),
        images=images,
        joint_position=_by_name(path, joints, "position", contract.joint_names),
        joint_velocity=_by_name(path, joints, "velocity", contract.joint_names),
        gripper_position=_by_name(path, joints, "position", contract.gripper_joint_names),
        ee_position=np.array([(p.position.x, p.position.y, p.position.z) for p in poses]),
        ee_quaternion=np.array([(p.orientation.x, p.orientation.y, p.orientation.z, p.orientation.w) for p in poses]),
        executed=executed,
        expert=executed.copy(),
        label_valid=valid,
        image_valid=looked,
        meta=meta,
    )


def fingerprint(path: Path, name: str) -> str:
    """Changes when the episode's actions change; no image is decoded."""
    actions = run_named(path, name).actions
    return hashlib.sha256(
        np.array([actions[s].values for s in sorted(actions)], dtype=np.float64).tobytes()
    ).hexdigest()


def embedded_contract(path: Path) -> RobotContract | None:
    """The robot's contract that a recording of ours holds, or the shipped one that an older one names; None in others."""
    metadata = read_metadata(path)
    if (contract := embedded.extract(path, metadata)) is not None:
        return contract
    try:
        contract = load_contract(metadata.get("contract", ""))
    except CladError:
        return None
    return contract if contract.hash == metadata.get("contract_hash") else None


# --- from messages to arrays


def _check_rate(path: Path, stamps: list[int], contract: RobotContract) -> None:
    """Rows are one control period apart, or nothing that is learned from them holds."""
    between = float(np.median(np.diff(stamps))) / SECOND if len(stamps) > 1 else contract.control_period
    if abs(between - contract.control_period) > OFF_RATE * contract.control_period:
        raise CladError(
            f"{path}: {EXECUTED_ACTION}: actions come every {between * 1e3:.3g} ms, {contract.name}'s control period is "
            f"{contract.control_period * 1e3:.3g} ms",
            "Record at the contract's rate, or give the --robot that this is",
        )


def _streams(path: Path, contract: RobotContract, first: int, last: int) -> _Streams:
    """What was observed from `first` to `last`, both included."""
    cameras = {image_topic(camera): camera for camera in contract.cameras}
    streams = _Streams(images={camera: {} for camera in contract.cameras})
    targets = {JOINT_STATES: streams.joints, EE_POSE: streams.poses}
    targets |= {topic: streams.images[camera] for topic, camera in cameras.items()}
    for item in typed_messages(path, STATE_TYPES | dict.fromkeys(cameras, IMAGE_TYPE)):
        stamp = stamp_of(item.message)
        if first <= stamp <= last:
            targets[item.topic][stamp] = item.message
    return streams


def _at_steps(path: Path, topic: str, messages: dict[int, Any], stamps: list[int], late: int) -> list:
    """What was known at each action: in the simulator of its very stamp, on an arm at most `late` ns older."""
    known, found = sorted(messages), []
    for step, stamp in enumerate(stamps):
        at = bisect_right(known, stamp) - 1
        if at < 0 or known[at] < stamp - late:
            raise CladError(
                f"{path}: {topic}: nothing at step {step} (stamp {stamp} ns)"
                + (f", nor in the {late / SECOND:g} s before" if late else ""),
                "It was not published, or the recorder lost it",
            )
        found.append(messages[known[at]])
    return found


def _images(
    path: Path, streams: _Streams, stamps: list[int], late: int, contract: RobotContract
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Camera -> (T, H, W, 3) with the last look held, and (T,) where the robot was looked at.

    A look is a new picture of the first camera, at most `late` ns old, with the nearest one of every other camera.
    """
    looks = _looks(streams.images, stamps, late)
    looked = np.array([look is not None for look in looks])
    if not looked[0]:
        topics = ", ".join(
            image_topic(camera)
            for camera, taken in streams.images.items()
            if not _recent(sorted(taken), stamps[0], late)
        )
        raise CladError(f"{path}: {topics}: nothing at step 0", "Start the recorder before the episode")
    held = np.maximum.accumulate(np.where(looked, np.arange(len(stamps)), 0))
    arrays = {}
    for camera, taken in streams.images.items():
        pictures = {row: _picture(path, camera, taken[looks[row][camera]]) for row in np.flatnonzero(looked)}
        if len({picture.shape for picture in pictures.values()}) > 1:
            raise CladError(f"{path}: {image_topic(camera)}: images differ in size", "Record with one image size")
        arrays[camera] = np.stack([pictures[row] for row in held])
    return arrays, looked


def _looks(images: dict[str, dict[int, Any]], stamps: list[int], late: int) -> list[dict[str, int] | None]:
    """At each action what was looked at anew: camera -> the stamp of its picture; None where there was no new look."""
    known = {camera: sorted(taken) for camera, taken in images.items()}
    first = next(iter(known))
    looks, seen = [], None
    for stamp in stamps:
        recent = {camera: _recent(taken, stamp, late) for camera, taken in known.items()}
        new = all(recent.values()) and recent[first][-1] != seen
        if new:
            seen = recent[first][-1]
        looks.append({c: min(r, key=lambda one: abs(one - seen)) for c, r in recent.items()} if new else None)
    return looks


def _recent(taken: list[int], stamp: int, late: int) -> list[int]:
    """Of ascending stamps those at most `late` ns before `stamp`."""
    return taken[bisect_left(taken, stamp - late) : bisect_right(taken, stamp)]


def _picture(path: Path, camera: str, message) -> np.ndarray:
    height, width = message.height, message.width
    if message.encoding != "rgb8" or message.step != 3 * width or len(message.data) != 3 * width * height:
        shown = f"{message.encoding} {width}x{height}, {len(message.data)} bytes in rows of {message.step}"
        raise CladError(f"{path}: {image_topic(camera)}: {shown}", "Only packed rgb8 is read")
    return np.frombuffer(message.data, dtype=np.uint8).reshape(height, width, 3)


def _by_name(path: Path, messages: list, value: str, names: tuple[str, ...]) -> np.ndarray:
    """(T, len(names)), found by joint name in whatever order the messages have them."""
    rows = []
    for step, message in enumerate(messages):
        values = dict(zip(message.name, getattr(message, value)))
        if missing := [name for name in names if name not in values]:
            raise CladError(f"{path}: {JOINT_STATES}: no {value} of {', '.join(missing)} at step {step}", "")
        rows.append([values[name] for name in names])
    return np.array(rows, dtype=np.float64)


def _meta(path: Path, metadata: dict[str, str], run: Run, told: Told) -> dict[str, Any]:
    """What is known of the episode, instruction and outcome included: the bag's own last word, and else what was told."""
    meta = {k: v for k, v in metadata.items() if k not in _NOT_META and not k.startswith("version.")}
    meta |= {"source": "rosbag", "protocol": "", "instruction": told.instruction, "outcome": told.outcome}
    if run.statuses:
        status = run.statuses[-1]
        ended = status.phase not in (OUTCOMES.index("idle"), OUTCOMES.index("running"))
        meta |= {
            "instruction": status.instruction or told.instruction,
            "suite": status.suite,
            "task": status.task,
            "init_index": status.init_index,
            "seed": status.seed,
            "max_steps": status.max_steps,
            "protocol": status.protocol,
            "mode": status.mode,
            "visuals": status.visuals,
            "outcome": OUTCOMES[status.phase] if ended else told.outcome or "cut off",
            "reason": status.reason,
            "scene_hash": status.scene_hash,
        }
    elif not (told.instruction and told.outcome):
        raise CladError(
            f"{path}: {EPISODE}: nothing was said about episode {run.number}",
            "Record the topic too, or convert the bag with --instruction and --outcome",
        )
    return meta


def image_topic(camera: str) -> str:
    return f"/{camera}/image_raw"
