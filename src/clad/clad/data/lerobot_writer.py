"""Episodes as a LeRobotDataset v3 (layout: clad.data.lerobot), written with pyarrow and av alone.

Numbers are float64, as in Episode, so nothing is lost; lerobot hands them out as float32 tensors all the same. Images
become H.264: 4:2:0 so that every player and lerobot's own decoders read them, a key frame every second frame so that
any frame is one seek away.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clad.contract import RobotContract
from clad.data import embedded
from clad.data.episode import Episode, succeeded
from clad.data.lerobot import (
    ACTION,
    EPISODES,
    EXPERT,
    FLAGS,
    IMAGES,
    INFO,
    STATE,
    STATS,
    SUCCESS,
    TASKS,
    VERSION,
    state_names,
)
from clad.errors import CladError

CHUNK_FILES = 1000  # files a chunk folder
DATA_MB, VIDEO_MB = 100, 200  # a file that is larger takes no further episode
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
CODEC, PIXELS = "h264", "yuv420p"
ENCODER = {"crf": "12", "g": "2", "bf": "0", "preset": "veryfast", "threads": "1"}
_FRAME_COLUMNS = ("timestamp", "frame_index", "episode_index", "index", "task_index")
Stats = dict[str, dict[str, np.ndarray]]  # feature -> min, max, mean, std, count


class DatasetWriter:
    """Writes a new dataset below `root`: `add` every episode, then `close`. Until then there is no meta, so no dataset.

    Raises CladError when `root` exists, and in `add` for an episode with other cameras or sizes than the first.
    """

    def __init__(self, root: Path, contract: RobotContract) -> None:
        if not float(contract.control_rate).is_integer():
            raise CladError(f"LeRobot wants whole steps a second, {contract.name} has {contract.control_rate}", "")
        try:
            root.mkdir(parents=True)
        except FileExistsError:
            raise CladError(f"{root} exists already", "A dataset is never overwritten; choose another name") from None
        self._root, self._contract, self._fps = root, contract, int(contract.control_rate)
        self._features: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = []
        self._stats: list[Stats] = []
        self._rows = _RowFiles(root)
        self._videos: dict[str, _VideoFiles] = {}
        self._frames = 0

    def add(self, episode: Episode) -> None:
        """Append one episode; it must be valid (clad.data.validate)."""
        features = _features(episode, self._contract, self._fps)
        if not self._features:
            self._features = features
            self._videos = {
                key: _VideoFiles(self._root, key, self._fps, spec["shape"])
                for key, spec in features.items()
                if spec["dtype"] == "video"
            }
        elif features != self._features:
            differ = [k for k in features.keys() | self._features if features.get(k) != self._features.get(k)]
            raise CladError(f"episode {episode.name}: {', '.join(sorted(differ))} differs from the first episode's", "")
        number, steps = len(self._episodes), len(episode)
        task = self._tasks.setdefault(episode.instruction, len(self._tasks))
        columns = _columns(episode, self._contract) | {
            "timestamp": np.arange(steps, dtype=np.float32) / np.float32(self._fps),
            "frame_index": np.arange(steps),
            "episode_index": np.full(steps, number),
            "index": self._frames + np.arange(steps),
            "task_index": np.full(steps, task),
        }
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": [episode.instruction],
            "length": steps,
            "dataset_from_index": self._frames,
            "dataset_to_index": self._frames + steps,
            "clad/name": episode.name,
            "clad/meta": json.dumps(episode.meta),
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        row["data/chunk_index"], row["data/file_index"] = self._rows.add(columns)
        stats = {name: _number_stats(values) for name, values in columns.items()}
        for key, video in self._videos.items():
            images = episode.images[key.removeprefix(IMAGES)]
            chunk, file, start = video.add(images)
            row |= {f"videos/{key}/chunk_index": chunk, f"videos/{key}/file_index": file}
            row |= {
                f"videos/{key}/from_timestamp": start / self._fps,
                f"videos/{key}/to_timestamp": (start + steps) / self._fps,
            }
            stats[key] = _image_stats(images)
        row |= {f"stats/{name}/{what}": value.tolist() for name, s in stats.items() for what, value in s.items()}
        self._episodes.append(row)
        self._stats.append(stats)
        self._frames += steps

    def close(self) -> None:
        """Finish all files and write meta, info.json last. Raises CladError when no episode was added."""
        self._rows.close()
        for video in self._videos.values():
            video.close()
        if not self._episodes:
            raise CladError(f"no episode for {self._root}", "Give a source with episodes")
        file = self._root / EPISODES / "chunk-000" / "file-000.parquet"
        file.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(self._episodes), file)
        pq.write_table(_tasks_table(self._tasks), self._root / TASKS)
        stats = {
            n: {w: v.tolist() for w, v in merge_stats([s[n] for s in self._stats]).items()} for n in self._stats[0]
        }
        (self._root / STATS).write_text(json.dumps(stats, indent=1))
        info = {
            "codebase_version": VERSION,
            "robot_type": self._contract.name,
            "total_episodes": len(self._episodes),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK_FILES,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": self._fps,
            "splits": {"train": f"0:{len(self._episodes)}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH,
            "features": self._features,
            **embedded.embed(self._contract),
        }
        (self._root / INFO).write_text(json.dumps(info, indent=1))


def _columns(episode: Episode, contract: RobotContract) -> dict[str, np.ndarray]:
    return {
        STATE: np.hstack([getattr(episode, field) for field in state_names(contract)]).astype(np.float64),
        ACTION: np.asarray(episode.executed, dtype=np.float64),
        EXPERT: np.asarray(episode.expert, dtype=np.float64),
        **{flag: np.asarray(getattr(episode, flag), dtype=bool) for flag in FLAGS},
        SUCCESS: np.arange(1, len(episode) + 1) == len(episode) if succeeded(episode) else np.zeros(len(episode), bool),
    }


def _features(episode: Episode, contract: RobotContract, fps: int) -> dict[str, dict[str, Any]]:
    names = [name for group in state_names(contract).values() for name in group]
    features: dict[str, dict[str, Any]] = {STATE: {"dtype": "float64", "shape": [len(names)], "names": names}}
    for key in (ACTION, EXPERT):
        features[key] = {
            "dtype": "float64",
            "shape": [len(contract.action.names)],
            "names": list(contract.action.names),
        }
    for camera, images in episode.images.items():
        height, width = images.shape[1:3]
        if height % 2 or width % 2:
            raise CladError(f"episode {episode.name}: images.{camera} is {width}x{height}", "Videos want even sides")
        features[IMAGES + camera] = {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": CODEC,
                "video.pix_fmt": PIXELS,
                "video.is_depth_map": False,
                "video.fps": fps,
                "video.channels": 3,
                "has_audio": False,
            },
        }
    for flag in (*FLAGS, SUCCESS):
        features[flag] = {"dtype": "bool", "shape": [1], "names": None}
    for name in _FRAME_COLUMNS:
        features[name] = {"dtype": "float32" if name == "timestamp" else "int64", "shape": [1], "names": None}
    return features


def _tasks_table(tasks: dict[str, int]) -> pa.Table:
    """With pandas' own note that `task` is the index, because lerobot reads it with pandas and looks tasks up by it."""
    column = {"metadata": None}
    note = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", **column},
            {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", **column},
        ],
        "pandas_version": "2.2.0",
    }
    table = pa.table({"task_index": list(tasks.values()), "task": list(tasks)})
    return table.replace_schema_metadata({b"pandas": json.dumps(note).encode()})


# --- statistics


def _number_stats(values: np.ndarray) -> dict[str, np.ndarray]:
    rows = values.reshape(len(values), -1).astype(np.float64)
    return {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        "count": np.array([len(rows)]),
    }


def _image_stats(images: np.ndarray) -> dict[str, np.ndarray]:
    """Per channel over all pixels, in [0, 1], shaped (3, 1, 1) as lerobot wants them; from histograms, so exact."""
    counts = np.stack([np.bincount(images[..., c].ravel(), minlength=256) for c in range(3)])
    levels, total = np.arange(256) / 255, counts[0].sum()
    mean = counts @ levels / total
    stats = {
        "min": np.array([levels[np.flatnonzero(c)[0]] for c in counts]),
        "max": np.array([levels[np.flatnonzero(c)[-1]] for c in counts]),
        "mean": mean,
        "std": np.sqrt((counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total),
    }
    return {name: value.reshape(3, 1, 1) for name, value in stats.items()} | {"count": np.array([len(images)])}


def merge_stats(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The statistics of all rows together from those of the parts."""
    counts = np.array([part["count"][0] for part in parts], dtype=np.float64)
    means = np.stack([part["mean"] for part in parts])
    weights = (counts / counts.sum()).reshape(-1, *[1] * (means.ndim - 1))
    mean = (weights * means).sum(axis=0)
    spread = np.stack([part["std"] for part in parts]) ** 2 + (means - mean) ** 2
    return {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": mean,
        "std": np.sqrt((weights * spread).sum(axis=0)),
        "count": np.array([int(counts.sum())]),
    }


# --- files


class _RowFiles:
    """Parquet files of bounded size, one row group an episode."""

    def __init__(self, root: Path) -> None:
        self._root, self._number, self._writer = root, -1, None

    def add(self, columns: dict[str, np.ndarray]) -> tuple[int, int]:
        """Append an episode's rows; returns chunk and file they are in."""
        table = pa.table({name: _arrow(values) for name, values in columns.items()})
        if self._writer is None or self._file.stat().st_size > DATA_MB * 2**20:
            self.close()
            self._number += 1
            chunk, file = divmod(self._number, CHUNK_FILES)
            self._file = self._root / DATA_PATH.format(chunk_index=chunk, file_index=file)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)
        return divmod(self._number, CHUNK_FILES)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _arrow(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


class _VideoFiles:
    """MP4 files of bounded size of one camera, many episodes one after another."""

    def __init__(self, root: Path, key: str, fps: int, shape: list[int]) -> None:
        self._root, self._key, self._fps, self._shape = root, key, fps, shape
        self._number, self._container = -1, None

    def add(self, images: np.ndarray) -> tuple[int, int, int]:
        """Append an episode's frames; returns chunk, file and the number of its first frame in there."""
        if self._container is None or self._bytes > VIDEO_MB * 2**20:
            self._open_next()
        start = self._count
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = self._count, Fraction(1, self._fps)
            self._mux(frame)
            self._count += 1
        return (*divmod(self._number, CHUNK_FILES), start)

    def _open_next(self) -> None:
        self.close()
        self._number += 1
        chunk, file = divmod(self._number, CHUNK_FILES)
        self._file = self._root / VIDEO_PATH.format(video_key=self._key, chunk_index=chunk, file_index=file)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(self._file), "w")
        self._stream = self._container.add_stream("libx264", rate=self._fps)
        self._stream.height, self._stream.width = self._shape[:2]
        self._stream.pix_fmt, self._stream.options = PIXELS, ENCODER
        self._stream.time_base = Fraction(1, self._fps)
        self._count = self._bytes = 0

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self._bytes += packet.size  # the file itself lags behind what was encoded
            self._container.mux(packet)

    def close(self) -> None:
        if self._container is not None:
            self._mux(None)
            self._container.close()
            self._container = None
