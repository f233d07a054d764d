"""Bags as clad_recorder writes them of a lock-step episode, made without ROS and with random content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from mcap.writer import Writer as McapWriter
from mcap_ros2.writer import Writer
from rosbags.typesys import Stores, get_typestore

from clad.contract import load_contract

CONTRACT = load_contract("libero")
INTERFACES = Path(__file__).parents[2] / "clad_interfaces" / "msg"
STEPS, LOOK, START, PERIOD, SIZE = 8, 3, 5_000_000_000, 50_000_000, 16
RUNNING, SUCCESS, TIMEOUT = 1, 2, 3


def definition(name: str) -> str:
    """A standard type's text, or one of ours with the header's definition after it, as bags carry them."""
    store = get_typestore(Stores.ROS2_JAZZY)
    own = INTERFACES / f"{name.rsplit('/', 1)[1]}.msg"
    if not own.is_file():
        return store.generate_msgdef(name, ros_version=2)[0]
    rule = "\n" + "=" * 80 + "\n"
    nested = store.generate_msgdef("std_msgs/msg/Header", ros_version=2)[0]
    return f"{own.read_text()}{rule}MSG: std_msgs/Header\n{nested}"


def header(stamp: int) -> dict:
    return {"stamp": {"sec": stamp // 10**9, "nanosec": stamp % 10**9}, "frame_id": "world"}


def data(seed: int = 0, size: int = SIZE) -> SimpleNamespace:
    """What happens in the episode; one row more than actions, for what is seen after the last."""
    rng = np.random.default_rng(seed)
    return SimpleNamespace(
        actions=rng.uniform(-1, 1, (STEPS, 7)),
        joints=rng.normal(size=(STEPS + 1, 9)),
        velocities=rng.normal(size=(STEPS + 1, 9)),
        positions=rng.normal(size=(STEPS + 1, 3)),
        images={c: rng.integers(0, 256, (STEPS + 1, size, size, 3), dtype=np.uint8) for c in CONTRACT.cameras},
    )


def messages(d, *, outcome=SUCCESS, holds=(), hash=None, episode=1):
    """(topic, type, message) in the order in which the bridge publishes them."""
    names = [*CONTRACT.joint_names, *CONTRACT.gripper_joint_names]
    size = d.images["agentview"].shape[1]
    status = {
        "header": header(START), "episode": episode, "phase": RUNNING, "reason": "", "suite": "libero_10", "task": 5,
        "instruction": "put it away", "init_index": 3, "seed": 21, "protocol": "exact", "mode": "lockstep",
        "visuals": "full", "steps": 0, "max_steps": 520, "scene_hash": "ab", "action_hash": "", "state_hash": "",
    }  # fmt: skip
    yield "/episode", "clad_interfaces/msg/EpisodeStatus", status
    for t in range(STEPS + 1):
        stamp = START + t * PERIOD
        joints = {"header": header(stamp), "name": names[::-1], "position": d.joints[t][::-1].tolist(),
                  "velocity": d.velocities[t][::-1].tolist(), "effort": []}  # fmt: skip
        yield "/joint_states", "sensor_msgs/msg/JointState", joints
        x, y, z = d.positions[t]
        pose = {"position": {"x": x, "y": y, "z": z}, "orientation": {"x": 1.0, "y": 0.0, "z": 0.0, "w": 0.0}}
        yield "/ee_pose", "geometry_msgs/msg/PoseStamped", {"header": header(stamp), "pose": pose}
        if t % LOOK == 0 or t == STEPS:
            for camera in CONTRACT.cameras:
                image = {"header": header(stamp), "height": size, "width": size, "encoding": "rgb8", "is_bigendian": 0,
                         "step": 3 * size, "data": d.images[camera][t].tobytes()}  # fmt: skip
                yield f"/{camera}/image_raw", "sensor_msgs/msg/Image", image
        if t < STEPS:
            action = {"header": header(stamp), "episode": episode, "step": t, "names": list(CONTRACT.action.names),
                      "values": d.actions[t].tolist(), "chunk_seq": 1, "source": 2 if t in holds else 1,
                      "reason": ""}  # fmt: skip
            yield "/executed_action", "clad_interfaces/msg/ExecutedAction", action
    hash = hashlib.sha256(d.actions.tobytes()).hexdigest() if hash is None else hash
    if outcome != RUNNING:
        yield "/episode", "clad_interfaces/msg/EpisodeStatus", status | {"phase": outcome, "action_hash": hash}


def write_bag(path: Path, stream, metadata=None) -> Path:
    """A rosbag2 directory's MCAP file with the messages of `stream`."""
    path.mkdir()
    with (path / f"{path.name}_0.mcap").open("wb") as file:
        writer = Writer(file)
        told = {"contract": "libero", "contract_hash": CONTRACT.hash, "model": "tiny", "version.numpy": "2"}
        McapWriter.add_metadata(writer._writer, "clad", told if metadata is None else metadata)
        schemas = {}
        for i, (topic, kind, message) in enumerate(stream):
            if kind not in schemas:
                schemas[kind] = writer.register_msgdef(kind, definition(kind))
            writer.write_message(topic, schemas[kind], message, log_time=i)
        writer.finish()
    return path


def moved(stream, shift: int, topics=None):
    """The same messages, those of some topics (default: all) stamped `shift` ns later."""
    for topic, kind, message in stream:
        if topics is None or topic in topics:
            stamp = message["header"]["stamp"]
            message = message | {"header": header(stamp["sec"] * 10**9 + stamp["nanosec"] + shift)}
        yield topic, kind, message


def changed(stream, topic: str, change):
    """The same messages, those of a topic through `change`, which gets a copy of the fields; None: left out."""
    for name, kind, message in stream:
        message = change(dict(message)) if name == topic else message
        if message is not None:
            yield name, kind, message
