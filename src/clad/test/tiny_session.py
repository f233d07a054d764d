"""What a graph says during an episode, made up so that every figure is known beforehand; as objects, or as a bag.

A control period is 50 ms, tau 2 steps, and everything happens at round times.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from mcap_ros2.writer import Writer
from tiny_bag import CONTRACT, definition

MS = 10**6
PERIOD, TAU = 50 * MS, 2
WALL = 1_700_000_000 * 10**9  # ns: when the first observation is published
SCENE = 4  # entries of an embedding
ENCODE, PLAN, POLICY, WAY = 10 * MS, 14 * MS, 6 * MS, 1 * MS  # WAY: of every message
RUNNING, SUCCESS, TIMEOUT, ABORTED = 1, 2, 3, 4
STATUS = "clad_interfaces/msg/EpisodeStatus"


def scene(step: int) -> np.ndarray:
    """The embedding turns by 0.1 rad a step in one plane: persistence's cosine is cos 0.2."""
    return np.array([np.cos(0.1 * step), np.sin(0.1 * step), 0, 0], dtype=np.float32)


def proprio(step: int) -> np.ndarray:
    """joint14: the first joint moves by 0.01 rad a step, and its velocity says so."""
    vector = np.zeros(14, dtype=np.float32)
    vector[0], vector[7] = 0.01 * step, 0.2
    return vector


def action(step: int) -> np.ndarray:
    """Native, alternating along x."""
    vector = np.zeros(7)
    vector[0], vector[6] = 0.5 if step % 2 else -0.5, -1.0
    return vector


def session(
    episode=1,
    *,
    steps=8,
    start=5000 * MS,
    wall=WALL,
    outcome=SUCCESS,
    mode="lockstep",
    seed=7,
    holds=(),
    clamps=(),
    skipped=(),
    turn=0.1,
    first=1,
):
    """(topic, type, published ns, message as a dict), in the order published.

    A foresight and a chunk of two steps at every even step; chunk and foresight numbers count from `first`. holds: steps
    held. clamps: steps changed by the safety filter. skipped: foresights and chunks, by step, that nobody sees. turn: rad a
    step by which the scene is foreseen to turn; it turns by 0.1.
    """
    status = {
        "header": header(start), "episode": episode, "phase": RUNNING, "reason": "", "suite": "libero_10", "task": 5,
        "instruction": "put it away", "init_index": 3, "seed": seed, "protocol": "exact", "mode": mode, "visuals": "full",
        "steps": 0, "max_steps": 520, "scene_hash": "ab", "action_hash": "", "state_hash": "",
    }  # fmt: skip
    yield "/episode", STATUS, wall, status
    number = first - 1
    for step in range(steps):
        stamp, now = start + step * PERIOD, wall + step * PERIOD
        names = [*CONTRACT.joint_names, *CONTRACT.gripper_joint_names]
        zeros = [0.0] * len(names)
        joints = {"header": header(stamp), "name": names, "position": zeros, "velocity": zeros, "effort": []}
        yield "/joint_states", "sensor_msgs/msg/JointState", now, joints
        planned = now + WAY + PLAN
        if step % TAU == 0:
            number += 1
            if step not in skipped:
                foresight = _foresight(number, episode, step, stamp, seed, turn)
                yield "/latent_foresight", "clad_interfaces/msg/LatentForesight", planned, foresight
                chunk = _chunk(number, episode, step, stamp)
                yield "/action_chunk", "clad_interfaces/msg/ActionChunk", planned + WAY + POLICY, chunk
        held, clamped = step in holds, step in clamps
        executed = {
            "header": header(stamp), "episode": episode, "step": step, "names": list(CONTRACT.action.names),
            "values": action(step).tolist(), "chunk_seq": 0 if held else number, "source": 2 if held else 1,
            "reason": "no chunk" if held else "clamped: joint_jerk, workspace" if clamped else "",
        }  # fmt: skip
        yield "/executed_action", "clad_interfaces/msg/ExecutedAction", planned + 2 * WAY + POLICY, executed
    if outcome != RUNNING:
        yield "/episode", STATUS, wall + steps * PERIOD, status | {"phase": outcome, "steps": steps}


def _foresight(number: int, episode: int, step: int, stamp: int, seed: int, turn: float) -> dict:
    return {
        "header": header(stamp), "seq": number, "episode": episode, "step": step, "seed": seed, "instruction": "put it away",
        "horizon_steps": TAU, "horizon": duration(TAU * PERIOD),
        "proprio_tokens": 1, "proprio_foresight": [0.0], "semantic_tokens": 1, "semantic_foresight": [0.0],
        "semantic_embedding": scene(step).tolist(), "instruction_embedding": [1.0], "proprio": [0.0] * 14,
        "proprio_predicted": (proprio(step + TAU) + _off()).tolist(), "proprio_measured": proprio(step).tolist(),
        "semantic_predicted": scene(step + TAU * turn / 0.1).tolist(),
        "encode_latency": duration(ENCODE), "plan_latency": duration(PLAN), "model_id": "tiny@1",
    }  # fmt: skip


def _off() -> np.ndarray:
    """What foresights are wrong by: 3 and 4 mrad of two joints, so 5 mrad."""
    vector = np.zeros(14, dtype=np.float32)
    vector[1], vector[2] = 0.003, 0.004
    return vector


def _chunk(number: int, episode: int, step: int, stamp: int) -> dict:
    values = np.stack([action(step + i) for i in range(TAU)]) * np.array(CONTRACT.action.scale)
    return {
        "header": header(stamp), "seq": number, "episode": episode, "obs_stamp": time(stamp), "foresight_seq": number,
        "step_dt": duration(PERIOD), "names": list(CONTRACT.action.names), "units": list(CONTRACT.action.units),
        "representation": 3, "steps": TAU, "values": values.ravel().tolist(), "valid_until": time(stamp + TAU * PERIOD),
        "policy_latency": duration(POLICY), "model_id": "tiny@2",
    }  # fmt: skip


def time(ns: int) -> dict:
    return {"sec": ns // 10**9, "nanosec": ns % 10**9}


duration = time


def header(stamp: int) -> dict:
    return {"stamp": time(stamp), "frame_id": "world"}


def as_object(message):
    """A dict as an object with fields, as every decoder gives it."""
    if isinstance(message, dict):
        return SimpleNamespace(**{name: as_object(value) for name, value in message.items()})
    return message


def feed(meter, stream: Iterable[tuple]):
    """Every message of `session` into a meter; returns it."""
    for topic, _, published, message in stream:
        meter.feed(topic, published, as_object(message))
    return meter


def write_bag(
    path: Path, stream: Iterable[tuple], metadata=None, chunk_size=1024, compression=CompressionType.ZSTD
) -> Path:
    """A rosbag2 directory's MCAP file. Each message is received 2 ms after it is published. metadata {}: another's recorder."""
    path.mkdir(parents=True)
    told = {"contract": "libero", "contract_hash": CONTRACT.hash} if metadata is None else metadata
    with (path / f"{path.name}_0.mcap").open("wb") as file:
        writer = Writer(file, chunk_size=chunk_size, compression=compression)
        if told:
            McapWriter.add_metadata(writer._writer, "clad", told)
        schemas = {}
        for topic, kind, published, message in stream:
            if kind not in schemas:
                nested = "diagnostic_msgs/msg/KeyValue" if kind.endswith("EpisodeFigures") else ""
                schemas[kind] = writer.register_msgdef(kind, definition(kind) + _appended(nested))
            writer.write_message(topic, schemas[kind], message, log_time=published + 2 * MS, publish_time=published)
        writer.finish()
    return path


def _appended(kind: str) -> str:
    """A nested standard type's definition, as bags carry it after the message's own."""
    return f"\n{'=' * 80}\nMSG: {kind.replace('/msg/', '/')}\n{definition(kind)}" if kind else ""
