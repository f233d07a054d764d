"""One Episode type for every source of demonstrations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """T control steps; row t holds what was observed before action t was executed.

    name: unique within its file. instruction: the task in words.
    images: camera -> (T, H, W, 3) uint8 rgb, row 0 at the top, the true view.
    joint_position, joint_velocity: (T, J) rad, rad/s. gripper_position: (T, G) m.
    ee_position: (T, 3) m. ee_quaternion: (T, 4) xyzw.
    executed: (T, N) native actions in [-1, 1] as the driver got them (noise included).
    expert: (T, N) native actions that the demonstrator meant; equals `executed` when no noise was injected.
    label_valid: (T,) bool, whether `expert` is worth imitating at that step. False while the demonstrator made a
        mistake on purpose to show the recovery from it: such steps are history and context, never a target.
        Default: all True.
    image_valid: (T,) bool, whether the images of that row were taken at that step. Where False they are the last ones
        taken before (a robot that is only looked at when a plan is due); the other fields are that step's all the
        same. Row 0 is always True. Default: all True.
    meta: suite, task, seed, protocol, visuals and whatever else the source knows.
    """

    name: str
    instruction: str
    images: dict[str, np.ndarray]
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    gripper_position: np.ndarray
    ee_position: np.ndarray
    ee_quaternion: np.ndarray
    executed: np.ndarray
    expert: np.ndarray
    label_valid: np.ndarray | None = None
    image_valid: np.ndarray | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("label_valid", "image_valid"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.ones(len(self.executed), dtype=bool))

    def __len__(self) -> int:
        return len(self.executed)


def succeeded(episode: Episode) -> bool:
    """Whether the task was done at the end. A demonstration that says nothing of its outcome is one that was."""
    return episode.meta.get("outcome", "success") == "success"
