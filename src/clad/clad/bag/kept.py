"""What the metrics keep of a message, whoever decoded it: rclpy, mcap-ros2-support and rosbags name its fields alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clad.stamps import seconds, to_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """An ExecutedAction. published: wall ns; stamp: ROS ns; values: (N,) native units; chunk: 0 for none."""

    published: int
    stamp: int
    step: int
    values: np.ndarray
    chunk: int
    source: int
    reason: str

    @classmethod
    def of(cls, published: int, message: Any) -> Action:
        return cls(
            published=published,
            stamp=to_ns(message.header.stamp),
            step=message.step,
            values=np.array(message.values, dtype=np.float64),
            chunk=message.chunk_seq,
            source=message.source,
            reason=message.reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A LatentForesight. stamp, horizon: ns; encode, plan: s. Vectors (0,) where the message has none."""

    published: int
    stamp: int
    seq: int
    horizon: int
    model: str
    encode: float
    plan: float
    semantic: np.ndarray
    semantic_predicted: np.ndarray
    proprio: np.ndarray
    proprio_predicted: np.ndarray

    @classmethod
    def of(cls, published: int, message: Any) -> Foreseen:
        return cls(
            published=published,
            stamp=to_ns(message.header.stamp),
            seq=message.seq,
            horizon=to_ns(message.horizon),
            model=message.model_id,
            encode=seconds(to_ns(message.encode_latency)),
            plan=seconds(to_ns(message.plan_latency)),
            semantic=_floats(message.semantic_embedding),
            semantic_predicted=_floats(getattr(message, "semantic_predicted", ())),  # older recordings lack it
            proprio=_floats(getattr(message, "proprio_measured", ())),  # and this
            proprio_predicted=_floats(message.proprio_predicted),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An ActionChunk. observed: its observation's stamp, ns. values: (H, N) wire units; None when they are no such array."""

    published: int
    seq: int
    observed: int
    foresight: int
    model: str
    policy: float
    values: np.ndarray | None

    @classmethod
    def of(cls, published: int, message: Any) -> Planned:
        values, width = _floats(message.values).astype(np.float64), len(message.names)
        whole = width > 0 and len(values) == message.steps * width
        return cls(
            published=published,
            seq=message.seq,
            observed=to_ns(message.obs_stamp),
            foresight=message.foresight_seq,
            model=message.model_id,
            policy=seconds(to_ns(message.policy_latency)),
            values=values.reshape(-1, width) if whole else None,
        )


def _floats(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float32)
