"""What a bag says about its episode: pictures for the video, and where the time went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message

from clad.bag.reader import read_messages
from clad.contract import RobotContract
from clad_ros import topics
from clad_ros.convert import image_from_message
from clad_ros.stamps import SECOND, step_of, to_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """Per chunk, wall seconds: encoder, plan (encoder included), policy. period: s between published foresights."""

    encode: list[float]
    plan: list[float]
    policy: list[float]
    period: list[float]


def decoded(path: Path, *names: str) -> Iterator[tuple[Any, int]]:
    """(message, published ns of wall time) of the named topics, in the order written."""
    for item in read_messages(path, names):
        package, _, short = item.type.split("/")
        yield deserialize_message(item.data, getattr(import_module(f"{package}.msg"), short)), item.published


def frames(path: Path, contract: RobotContract) -> dict[int, dict[str, np.ndarray]]:
    """Control step -> camera -> (H, W, 3) uint8, for every step at which all cameras were published; steps ascend."""
    by_stamp: dict[int, dict[str, np.ndarray]] = {}
    for camera in contract.cameras:
        for message, _ in decoded(path, topics.image_topic(camera)):
            by_stamp.setdefault(to_ns(message.header.stamp), {})[camera] = image_from_message(
                message, message.height, camera
            )
    complete = {stamp: images for stamp, images in sorted(by_stamp.items()) if len(images) == len(contract.cameras)}
    first, period = min(complete, default=0), round(SECOND / contract.control_rate)
    return {step_of(stamp, first, period): images for stamp, images in complete.items()}


def inference(path: Path) -> Inference:
    """The latencies that planner and policy measured themselves, joined by the foresight's number."""
    foresights, chunks, published = {}, {}, []
    for message, stamp in decoded(path, topics.LATENT_FORESIGHT):
        foresights[message.seq] = message
        published.append(stamp)
    for message, _ in decoded(path, topics.ACTION_CHUNK):
        chunks[message.foresight_seq] = message
    both = sorted(foresights.keys() & chunks.keys())
    return Inference(
        encode=[to_ns(foresights[s].encode_latency) / SECOND for s in both],
        plan=[to_ns(foresights[s].plan_latency) / SECOND for s in both],
        policy=[to_ns(chunks[s].policy_latency) / SECOND for s in both],
        period=(np.diff(published) / SECOND).tolist(),
    )


def diagnostic_value(path: Path, node: str, key: str) -> str:
    """The last value that a node told under a key in /diagnostics; empty if it never did."""
    value = ""
    for message, _ in decoded(path, topics.DIAGNOSTICS):
        for status in message.status:
            if status.name == node:
                value = next((v.value for v in status.values if v.key == key), value)
    return value
