"""The feature cache: what the frozen encoder makes of every demonstration, so that training never sees a pixel.

    OUT/features.json                      encoder, its dimensions, robot contract
    OUT/<demo file, its folders kept>/<demo>.safetensors   one a demonstration, memory-mapped when read

A demonstration's file holds `images.<camera>.<feature>` (T, D), the instruction's embedding `text` (D_l,), and the state
and actions of its Episode. Features of a row whose images are not its own are those of the last row that has some. It appears whole or not at all, and is made again when the demonstration has changed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from clad.contract import RobotContract, load_contract
from clad.data import embedded
from clad.data.episode import Episode
from clad.data.sources import Source, find_sources
from clad.encoders.encoder import Encoder
from clad.errors import CladError

SCHEMA = 1
INDEX = "features.json"
ROBOT = "robot.json"  # the contract itself; caches of older versions have only its name
SUFFIX = ".safetensors"
BATCH = 32  # frames per run of the encoder
STATE_FIELDS = ("joint_position", "joint_velocity", "gripper_position", "ee_position", "ee_quaternion")
ACTION_FIELDS = ("executed", "expert")
ROW_FLAGS = ("label_valid", "image_valid")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheInfo:
    """What a cache holds, as in its index. feature_dims: name -> length; text_dim: of an instruction's embedding."""

    encoder_name: str
    encoder_sha256: str
    feature_dims: dict[str, int]
    text_dim: int
    contract_name: str
    contract_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedEpisode:
    """An Episode with features in place of images; T rows, as there.

    key: file and demonstration, unique in the cache. features: (camera, feature) -> (T, D) float32. text: (D_l,) float32.
    """

    key: str
    instruction: str
    meta: dict[str, Any]
    features: dict[tuple[str, str], np.ndarray]
    text: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    gripper_position: np.ndarray
    ee_position: np.ndarray
    ee_quaternion: np.ndarray
    executed: np.ndarray
    expert: np.ndarray
    label_valid: np.ndarray
    image_valid: np.ndarray

    def __len__(self) -> int:
        return len(self.executed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One demonstration that is not in the cache yet. contract: of the robot that it shows."""

    source: Source
    target: Path
    fingerprint: str
    contract: RobotContract


def open_cache(out: Path, encoder: Encoder, contract: RobotContract) -> CacheInfo:
    """Create the cache's index or check that the cache in `out` is of this encoder and robot (CladError if not)."""
    info = CacheInfo(
        encoder_name=encoder.name,
        encoder_sha256=encoder.id,
        feature_dims=encoder.feature_dims,
        text_dim=encoder.text_dim,
        contract_name=contract.name,
        contract_hash=contract.hash,
    )
    if (out / INDEX).exists():
        present = read_info(out)
        if present != info:
            raise CladError(
                f"{out} holds features of encoder {present.encoder_name} ({present.encoder_sha256[:12]}) for robot "
                f"{present.contract_name}, not of {info.encoder_name} ({info.encoder_sha256[:12]}) for {info.contract_name}",
                "Choose another --out or remove that cache",
            )
    else:
        out.mkdir(parents=True, exist_ok=True)
        _replace(out / ROBOT, embedded.embed(contract))
        _replace(out / INDEX, {"schema": SCHEMA, **asdict(info)})
    return info


def read_info(cache: Path) -> CacheInfo:
    """The index of a cache. Raises CladError when there is none or it is of another schema."""
    remedy = "Make it with: clad encode --out DIR"
    try:
        body = json.loads((cache / INDEX).read_text())
        if body.pop("schema") != SCHEMA:
            raise CladError(f"the feature cache {cache} has another schema", remedy)
        return CacheInfo(**body)
    except FileNotFoundError:
        raise CladError(f"{cache} is no feature cache: it has no {INDEX}", remedy) from None
    except (ValueError, KeyError, TypeError) as error:
        raise CladError(f"{cache / INDEX} is malformed: {error}", remedy) from error


def cached_contract(cache: Path) -> RobotContract:
    """The robot that a cache's demonstrations show. Raises CladError when that is no longer known."""
    info = read_info(cache)
    file = cache / ROBOT
    contract = embedded.extract(cache, json.loads(file.read_text())) if file.is_file() else None
    contract = contract or load_contract(info.contract_name)
    if contract.hash != info.contract_hash:
        raise CladError(f"{cache} was made for another version of robot '{info.contract_name}'", "Encode again")
    return contract


def pending(demos: Path, out: Path) -> tuple[list[Job], int]:
    """What is left to encode, and how many demonstrations are in the cache already. demos: whatever data.sources knows."""
    contract = cached_contract(out)
    jobs, done = [], 0
    for source in find_sources(demos):
        target, fingerprint = out / f"{source.key}{SUFFIX}", source.fingerprint()
        if target.is_file() and _metadata(target).get("fingerprint") == fingerprint:
            done += 1
        else:
            jobs.append(Job(source=source, target=target, fingerprint=fingerprint, contract=contract))
    return jobs, done


def encode(jobs: list[Job], encoder_path: Path, *, workers: int = 1, threads: int = 1) -> Iterator[int]:
    """Encode demonstrations, in this process or in several; yields the frames of each as it is finished."""
    if workers == 1:
        encoder = Encoder(encoder_path, threads=threads)
        for job in jobs:
            yield _encode_job(job, encoder)
        return
    # spawn: a forked child would inherit the parent's ONNX Runtime threads in an undefined state
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (encoder_path, threads)) as pool:
        yield from pool.map(_encode_in_worker, jobs)


def encode_episode(episode: Episode, encoder: Encoder) -> dict[str, np.ndarray]:
    """Features of every camera and the instruction's embedding, under the names that the cache uses."""
    if not episode.images:
        raise CladError(f"demonstration {episode.name} has no images", "Render it first: clad demos")
    arrays = {"text": encoder.text(episode.instruction)}
    held = np.cumsum(episode.image_valid) - 1  # row -> which of the pictures of its own it shows
    for camera, images in episode.images.items():
        images = images[episode.image_valid]
        batches = [encoder.images(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        for feature in encoder.feature_dims:
            arrays[f"images.{camera}.{feature}"] = np.concatenate([batch[feature] for batch in batches])[held]
    return arrays


def load_cache(cache: Path, cameras: tuple[str, ...], features: tuple[str, ...]) -> list[EncodedEpisode]:
    """Every demonstration of a cache in a fixed order, with the features that are asked for.

    Raises CladError for an empty cache, and when a camera or feature is not in it.
    """
    files = sorted(cache.rglob(f"*{SUFFIX}"), key=lambda f: (f.parent, int(f.stem.rsplit("_", 1)[1])))
    files = [f for f in files if not f.name.startswith(".")]
    if not files:
        raise CladError(f"the feature cache {cache} is empty", "Fill it with: clad encode --demos DIR --out DIR")
    return [_load(file, cache, cameras, features) for file in files]


def _load(file: Path, cache: Path, cameras: tuple[str, ...], features: tuple[str, ...]) -> EncodedEpisode:
    with safe_open(file, framework="np") as stored:
        metadata, present = stored.metadata(), set(stored.keys())
        wanted = {(c, f): f"images.{c}.{f}" for c in cameras for f in features}
        for name in wanted.values():
            if name not in present:
                have = ", ".join(sorted(p for p in present if p.startswith("images.")))
                raise CladError(f"{file} holds no {name}", f"It has {have}: change data.cameras or data.features")
        everywhere = np.ones(stored.get_slice("executed").get_shape()[0], dtype=bool)
        return EncodedEpisode(
            key=str(file.relative_to(cache).with_suffix("")),
            instruction=metadata["instruction"],
            meta=json.loads(metadata["meta"]),
            features={key: stored.get_tensor(name) for key, name in wanted.items()},
            text=stored.get_tensor("text"),
            **{name: stored.get_tensor(name) for name in (*STATE_FIELDS, *ACTION_FIELDS)},
            **{name: stored.get_tensor(name) if name in present else everywhere for name in ROW_FLAGS},
        )


def _replace(file: Path, body: dict) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(body, indent=2) + "\n")
    temporary.replace(file)


def _encode_job(job: Job, encoder: Encoder) -> int:
    episode = job.source.read(job.contract)
    arrays = encode_episode(episode, encoder)
    arrays |= {name: np.ascontiguousarray(getattr(episode, name)) for name in (*STATE_FIELDS, *ACTION_FIELDS)}
    # only flags that say something are stored
    arrays |= {name: flags for name in ROW_FLAGS if not (flags := np.asarray(getattr(episode, name), bool)).all()}
    job.target.parent.mkdir(parents=True, exist_ok=True)
    temporary = job.target.with_name(f".{job.target.name}.{os.getpid()}")
    metadata = {
        "instruction": episode.instruction,
        "meta": json.dumps(episode.meta),
        "fingerprint": job.fingerprint,
        "encoder": encoder.id,
    }
    save_file(arrays, temporary, metadata)
    temporary.replace(job.target)
    return len(episode)


def _metadata(file: Path) -> dict[str, str]:
    with safe_open(file, framework="np") as stored:
        return stored.metadata() or {}


_worker_encoder: Encoder | None = None


def _start_worker(encoder_path: Path, threads: int) -> None:
    global _worker_encoder
    _worker_encoder = Encoder(encoder_path, threads=threads)


def _encode_in_worker(job: Job) -> int:
    return _encode_job(job, _worker_encoder)
