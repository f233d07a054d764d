"""LeRobotDataset v3 as Episodes, read with pyarrow and av alone. lerobot_writer writes the same layout.

meta/info.json                    features, fps, robot_type, path templates; ours: clad_contract
meta/stats.json                   min, max, mean, std, count of every feature
meta/tasks.parquet                task_index, task (the instruction)
meta/episodes/chunk-*/file-*      one row an episode: where its rows and its frames are; ours: clad/name, clad/meta
data/chunk-*/file-*.parquet       one row a step, one row group an episode
videos/KEY/chunk-*/file-*.mp4     many episodes a file

observation.state                 joints rad, rad/s; fingers m; ee m, xyzw; in the order and under the names of
                                  `state_names`, found by name when read
observation.images.CAMERA         rgb, row 0 at the top, the true view
action                            native, in [-1, 1], as executed
expert_action, label_valid, image_valid   as in Episode; absent in other people's datasets
next.success                      true at the last step of an episode that ended in success; not read
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clad.contract import RobotContract
from clad.data import embedded
from clad.data.episode import Episode
from clad.errors import CladError

VERSION = "v3.0"
INFO, STATS, TASKS, EPISODES = "meta/info.json", "meta/stats.json", "meta/tasks.parquet", "meta/episodes"
STATE, ACTION, EXPERT, IMAGES = "observation.state", "action", "expert_action", "observation.images."
FLAGS = ("label_valid", "image_valid")
SUCCESS = "next.success"


def state_names(contract: RobotContract) -> dict[str, tuple[str, ...]]:
    """Episode field -> the names of its entries in `observation.state`, in the order in which we write them."""
    return {
        "joint_position": tuple(f"{joint}.pos" for joint in contract.joint_names),
        "joint_velocity": tuple(f"{joint}.vel" for joint in contract.joint_names),
        "gripper_position": tuple(f"{joint}.pos" for joint in contract.gripper_joint_names),
        "ee_position": ("ee.x", "ee.y", "ee.z"),
        "ee_quaternion": ("ee.qx", "ee.qy", "ee.qz", "ee.qw"),
    }


def episode_names(path: Path) -> list[str]:
    """episode_0, episode_1, ... of a dataset. Raises CladError for a dataset of another version or a damaged one."""
    return [f"episode_{row['episode_index']}" for row in _dataset(path)[1].values()]


def read_episode(path: Path, name: str, contract: RobotContract) -> Episode:
    """One episode by its name. Raises CladError naming dataset, episode and feature for what does not fit the robot.

    Numbers keep their stored precision; images are what the video kept of them.
    """
    info, episodes, tasks = _dataset(path)
    where = f"{path}: {name}"
    row = episodes.get(name)
    if row is None:
        raise CladError(f"{path} has no episode {name}", f"It has episode_0 to episode_{len(episodes) - 1}")
    _check_robot(path, info, contract)
    table = _rows(path, info, row)
    steps = len(table)
    if steps != row["length"]:
        raise CladError(f"{where}: data has {steps} rows, meta/episodes says {row['length']}", "It is damaged")
    state = _column(where, table, STATE)
    index = {entry: i for i, entry in enumerate(_names(info, STATE))}
    fields = {field: state[:, [index[entry] for entry in names]] for field, names in state_names(contract).items()}
    executed = _column(where, table, ACTION)
    flags = {flag: _column(where, table, flag)[:, 0].astype(bool) for flag in FLAGS if flag in table.column_names}
    return Episode(
        name=row.get("clad/name") or name,
        instruction=_instruction(where, table, tasks),
        images={
            key.removeprefix(IMAGES): _frames(where, path, info, row, key)
            for key in info["features"]
            if key.startswith(IMAGES)
        },
        executed=executed,
        expert=_column(where, table, EXPERT) if EXPERT in table.column_names else executed.copy(),
        meta=json.loads(row.get("clad/meta") or "{}"),
        **fields,
        **flags,
    )


def embedded_contract(path: Path) -> RobotContract | None:
    """The robot's contract that a dataset of ours holds; None in other people's."""
    return embedded.extract(path, _dataset(path)[0])


def fingerprint(path: Path, name: str) -> str:
    """Changes when the episode's actions change; no video is decoded."""
    info, episodes, _ = _dataset(path)
    return hashlib.sha256(_column(f"{path}: {name}", _rows(path, info, episodes[name]), ACTION).tobytes()).hexdigest()


# --- meta


def _dataset(path: Path) -> tuple[dict, dict[str, dict], dict[int, str]]:
    """info, episode name -> its row of meta/episodes, task_index -> instruction."""
    file = Path(path) / INFO
    try:
        return _read_meta(Path(path), file.stat().st_mtime_ns)
    except OSError as error:
        raise CladError(
            f"{path} is no LeRobot dataset: {error}", "It wants meta/info.json and what that names"
        ) from error
    except (ValueError, KeyError, pa.ArrowException) as error:
        raise CladError(f"{path}: meta is malformed: {error!r}", "It is damaged or of another version") from error


@lru_cache(maxsize=4)
def _read_meta(path: Path, changed: int) -> tuple[dict, dict[str, dict], dict[int, str]]:
    info = json.loads((path / INFO).read_text())
    version = info["codebase_version"]
    if not str(version).startswith("v3."):
        remedy = "Bring it to v3.0 with lerobot's convert_dataset_v21_to_v30"
        raise CladError(f"{path} is a LeRobot dataset of version {version}, only {VERSION} is read", remedy)
    rows = []
    for file in sorted((path / EPISODES).glob("*/*.parquet")):
        wanted = [n for n in pq.read_schema(file).names if not n.startswith("stats/")]
        rows += pq.read_table(file, columns=wanted).to_pylist()
    rows.sort(key=lambda row: row["episode_index"])
    if len(rows) != info["total_episodes"]:
        raise CladError(
            f"{path}: {len(rows)} episodes in {EPISODES}, {info['total_episodes']} in {INFO}", "It is damaged"
        )
    tasks = pq.read_table(path / TASKS).to_pydict()
    words = tasks.get("task") or tasks["__index_level_0__"]  # pandas writes an unnamed index under this name
    return info, {f"episode_{row['episode_index']}": row for row in rows}, dict(zip(tasks["task_index"], words))


def _check_robot(path: Path, info: dict, contract: RobotContract) -> None:
    embedded.require_same(path, embedded.extract(path, info), contract)
    if info.get("robot_type") != contract.name:
        raise CladError(f"{path} shows robot '{info.get('robot_type')}', not '{contract.name}'", "Give its --robot")
    if abs(info["fps"] - contract.control_rate) > 1e-6:
        raise CladError(f"{path} has {info['fps']} steps a second, {contract.name} {contract.control_rate:g}", "")
    wanted = {
        STATE: [n for names in state_names(contract).values() for n in names],
        ACTION: list(contract.action.names),
    }
    for feature, names in wanted.items():
        present = _names(info, feature)
        if missing := [name for name in names if name not in present]:
            have = ", ".join(present) or "no names"
            raise CladError(f"{path}: {feature} lacks {', '.join(missing)}", f"It has {have}")
    if _names(info, ACTION) != wanted[ACTION]:
        raise CladError(f"{path}: {ACTION} is {', '.join(_names(info, ACTION))}, not {', '.join(wanted[ACTION])}", "")


def _names(info: dict, feature: str) -> list[str]:
    """Names of a vector's entries; older recordings put the list under a key such as 'motors'."""
    names = info["features"].get(feature, {}).get("names") or []
    return [n for group in names.values() for n in group] if isinstance(names, dict) else list(names)


# --- rows


def _rows(path: Path, info: dict, row: dict) -> pa.Table:
    file = Path(path) / info["data_path"].format(chunk_index=row["data/chunk_index"], file_index=row["data/file_index"])
    try:
        return pq.read_table(file, filters=[("episode_index", "=", row["episode_index"])])
    except (OSError, pa.ArrowException) as error:
        raise CladError(f"{path}: episode_{row['episode_index']}: {file} is unreadable ({error})", "") from error


def _column(where: str, table: pa.Table, name: str) -> np.ndarray:
    """(T, D); scalars become D = 1. Numbers keep their type, floats become float64, which holds float32 exactly."""
    if name not in table.column_names:
        raise CladError(f"{where} has no feature {name}", "It has " + ", ".join(table.column_names))
    values = np.array(table[name].to_pylist())
    values = values.astype(np.float64) if values.dtype.kind == "f" else values
    return values.reshape(len(table), -1)


def _instruction(where: str, table: pa.Table, tasks: dict[int, str]) -> str:
    indices = set(table["task_index"].to_pylist())
    if len(indices) != 1 or not indices <= tasks.keys():
        raise CladError(f"{where}: task_index is {sorted(indices)}, wanted one of {TASKS}", "")
    return tasks[indices.pop()]


# --- frames


def _frames(where: str, path: Path, info: dict, row: dict[str, Any], key: str) -> np.ndarray:
    """(T, H, W, 3) uint8: the episode's part of its video file."""
    if info["features"][key]["dtype"] != "video":
        raise CladError(f"{where}: {key} is of type {info['features'][key]['dtype']}", "Only videos are read")
    file = Path(path) / info["video_path"].format(
        video_key=key, chunk_index=row[f"videos/{key}/chunk_index"], file_index=row[f"videos/{key}/file_index"]
    )
    start, fps, length = row[f"videos/{key}/from_timestamp"], info["fps"], row["length"]
    frames: dict[int, np.ndarray] = {}
    try:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            container.seek(int(start / stream.time_base), stream=stream)  # to the key frame before it
            for frame in container.decode(stream):
                number = round((frame.time - start) * fps)
                if number >= length:
                    break
                if number >= 0:
                    frames[number] = frame.to_ndarray(format="rgb24")
    except (OSError, av.error.FFmpegError) as error:
        raise CladError(f"{where}: {key}: {file} is unreadable ({error})", "The video is missing or damaged") from error
    if sorted(frames) != list(range(length)):
        raise CladError(f"{where}: {key}: {len(frames)} of {length} frames are in {file}", "The video is truncated")
    return np.stack([frames[number] for number in range(length)])
