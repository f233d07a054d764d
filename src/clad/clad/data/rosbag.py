"""Episodes out of rosbag2 MCAP bags as clad_recorder writes them. Needs no ROS: a bag carries its message definitions.

One bag is one episode. Row t is what was published with the stamp at which executed action t began to act: joints, hand
pose and, where the robot was looked at, images. In lock-step that is every `execute_steps` control steps; between two
looks a row holds the last images and `image_valid` is False. On an arm, whose cameras and joints have stamps of their own,
row t is the newest that was known then.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clad.bag.reader import SECOND, bag_files, read_messages, read_metadata
from clad.contract import RobotContract
from clad.data.episode import Episode
from clad.errors import CladError

NAME = "episode_0"  # of a bag's only episode
JOINT_STATES, EE_POSE, EXECUTED_ACTION, EPISODE = "/joint_states", "/ee_pose", "/executed_action", "/episode"
OUTCOMES = ("idle", "running", "success", "timeout", "aborted")  # EpisodeStatus.phase
ARM_LATE = 3.0  # control periods that a state may be older than the action that it led to, on an arm
_SOURCE_HOLD = 2  # ExecutedAction.source
_NOT_META = ("started", "contract", "contract_hash")  # of the recording, not of the episode


@dataclass(slots=True, kw_only=True)
class _Bag:
    """What a bag says, by stamp (ns) or, for actions, by step. Repeated messages fall together."""

    metadata: dict[str, str]
    joints: dict[int, Any] = field(default_factory=dict)
    poses: dict[int, Any] = field(default_factory=dict)
    images: dict[str, dict[int, Any]] = field(default_factory=dict)
    actions: dict[int, Any] = field(default_factory=dict)
    statuses: list[Any] = field(default_factory=list)


def episode_names(path: Path) -> list[str]:
    """The one name that every bag's episode has. Raises CladError when `path` is no bag."""
    bag_files(path)
    return [NAME]


def read_episode(path: Path, name: str, contract: RobotContract) -> Episode:
    """The bag's episode. Raises CladError naming bag, step and topic for whatever is missing or of another robot.

    `executed` are the native actions as the driver got them, bit for bit; `expert` equals them. `label_valid` is False
    everywhere unless the episode ended in success, and where the robot held for want of a plan: such steps show how the
    world moves and are no example. meta: what the recording was started with, and outcome, reason, scene_hash.
    """
    bag = _load(path, contract)
    status = _status(path, bag)
    actions = [bag.actions[step] for step in sorted(bag.actions)]
    if sorted(bag.actions) != list(range(len(actions))):
        gap = next(i for i, step in enumerate(sorted(bag.actions)) if i != step)
        raise CladError(f"{path}: {EXECUTED_ACTION}: step {gap} is missing", "The recorder lost it; record again")
    for message in actions:
        if tuple(message.names) != contract.action.names or len(message.values) != len(contract.action.names):
            names = ", ".join(message.names)
            raise CladError(f"{path}: {EXECUTED_ACTION}: actions are {names}, not those of {contract.name}", "")
    executed = np.array([message.values for message in actions], dtype=np.float64)
    if status.action_hash and status.action_hash != hashlib.sha256(executed.tobytes()).hexdigest():
        raise CladError(f"{path}: the actions do not add up to the episode's action_hash", "The bag was altered")
    stamps = [_stamp(message) for message in actions]
    late = round(ARM_LATE * contract.control_period * SECOND) if status.protocol == "robot" else 0
    joints = _at_steps(path, JOINT_STATES, bag.joints, stamps, late)
    poses = [message.pose for message in _at_steps(path, EE_POSE, bag.poses, stamps, late)]
    images, looked = _images(path, bag, stamps, late, contract)
    outcome = OUTCOMES[status.phase] if status.phase != OUTCOMES.index("running") else "cut off"
    held = np.array([message.source == _SOURCE_HOLD for message in actions])
    return Episode(
        name=name,
        instruction=status.instruction,
        images=images,
        joint_position=_by_name(path, joints, "position", contract.joint_names),
        joint_velocity=_by_name(path, joints, "velocity", contract.joint_names),
        gripper_position=_by_name(path, joints, "position", contract.gripper_joint_names),
        ee_position=np.array([(p.position.x, p.position.y, p.position.z) for p in poses]),
        ee_quaternion=np.array([(p.orientation.x, p.orientation.y, p.orientation.z, p.orientation.w) for p in poses]),
        executed=executed,
        expert=executed.copy(),
        label_valid=~held & (outcome == "success"),
        image_valid=looked,
        meta=_meta(bag.metadata, status, outcome),
    )


def fingerprint(path: Path, name: str) -> str:
    """Changes when the bag's actions change; no image is decoded."""
    digest = hashlib.sha256()
    for item in read_messages(path, (EXECUTED_ACTION,)):
        digest.update(np.array(item.message.values, dtype=np.float64).tobytes())
    return digest.hexdigest()


# --- from messages to arrays


def _load(path: Path, contract: RobotContract) -> _Bag:
    image_topics = {f"/{camera}/image_raw": camera for camera in contract.cameras}
    bag, episodes = _Bag(metadata=read_metadata(path), images={camera: {} for camera in contract.cameras}), set()
    for item in read_messages(path, (JOINT_STATES, EE_POSE, EXECUTED_ACTION, EPISODE, *image_topics)):
        topic, message = item.topic, item.message
        if topic == EXECUTED_ACTION:
            bag.actions[message.step] = message
            episodes.add(message.episode)
        elif topic == EPISODE:
            bag.statuses.append(message)
        elif topic in image_topics:
            bag.images[image_topics[topic]][_stamp(message)] = message
        else:
            (bag.joints if topic == JOINT_STATES else bag.poses)[_stamp(message)] = message
    if (recorded := bag.metadata.get("contract_hash", contract.hash)) != contract.hash:
        shown = f"{bag.metadata.get('contract')} ({recorded[:12]})"
        raise CladError(f"{path} shows robot {shown}, not {contract.name} ({contract.hash[:12]})", "Give its --robot")
    if not bag.actions:
        raise CladError(f"{path}: {EXECUTED_ACTION}: no action was recorded", "The bag holds no episode")
    if len(episodes) > 1:
        raise CladError(f"{path} holds {len(episodes)} episodes", "Record each into a bag of its own")
    return bag


def _status(path: Path, bag: _Bag):
    """The last word on the episode; a bag may begin with the latched status of the one before."""
    episode = next(iter(bag.actions.values())).episode
    told = [message for message in bag.statuses if message.episode == episode]
    if not told:
        raise CladError(f"{path}: {EPISODE}: nothing was said about episode {episode}", "Record the topic too")
    return told[-1]


def _at_steps(path: Path, topic: str, messages: dict[int, Any], stamps: list[int], late: int) -> list:
    """What was known at each action: in the simulator of its very stamp, on an arm at most `late` ns older."""
    known, found = sorted(messages), []
    for step, stamp in enumerate(stamps):
        at = bisect_right(known, stamp) - 1
        if at < 0 or known[at] < stamp - late:
            raise CladError(
                f"{path}: {topic}: nothing at step {step} (stamp {stamp} ns)", "The recorder lost a message"
            )
        found.append(messages[known[at]])
    return found


def _images(
    path: Path, bag: _Bag, stamps: list[int], late: int, contract: RobotContract
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Camera -> (T, H, W, 3) with the last look held, and (T,) where all cameras looked.

    A picture belongs to the first action that is not older, if that is at most `late` ns younger.
    """
    for camera, taken in bag.images.items():
        first = {stamp: bisect_left(stamps, stamp) for stamp in sorted(taken)}
        bag.images[camera] = {
            stamps[step]: taken[stamp]
            for stamp, step in first.items()
            if step < len(stamps) and stamps[step] - stamp <= late
        }
    looked = np.array([all(stamp in bag.images[camera] for camera in contract.cameras) for stamp in stamps])
    if not looked[0]:
        topics = ", ".join(f"/{c}/image_raw" for c in contract.cameras if stamps[0] not in bag.images[c])
        raise CladError(f"{path}: {topics}: nothing at step 0", "Start the recorder before the episode")
    held = np.maximum.accumulate(np.where(looked, np.arange(len(stamps)), 0))
    arrays = {}
    for camera in contract.cameras:
        pictures = {row: _picture(path, camera, bag.images[camera][stamps[row]]) for row in np.flatnonzero(looked)}
        if len({picture.shape for picture in pictures.values()}) > 1:
            raise CladError(f"{path}: /{camera}/image_raw: images differ in size", "Record with one image size")
        arrays[camera] = np.stack([pictures[row] for row in held])
    return arrays, looked


def _picture(path: Path, camera: str, message) -> np.ndarray:
    height, width = message.height, message.width
    if message.encoding != "rgb8" or message.step != 3 * width or len(message.data) != 3 * width * height:
        shown = f"{message.encoding} {width}x{height}, {len(message.data)} bytes in rows of {message.step}"
        raise CladError(f"{path}: /{camera}/image_raw: {shown}", "Only packed rgb8 is read")
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


def _meta(metadata: dict[str, str], status, outcome: str) -> dict[str, Any]:
    told = {k: v for k, v in metadata.items() if k not in _NOT_META and not k.startswith("version.")}
    return told | {
        "source": "rosbag",
        "suite": status.suite,
        "task": status.task,
        "init_index": status.init_index,
        "seed": status.seed,
        "max_steps": status.max_steps,
        "protocol": status.protocol,
        "mode": status.mode,
        "visuals": status.visuals,
        "outcome": outcome,
        "reason": status.reason,
        "scene_hash": status.scene_hash,
    }


def _stamp(message) -> int:
    return message.header.stamp.sec * SECOND + message.header.stamp.nanosec
