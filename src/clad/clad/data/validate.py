"""What must hold of an Episode before anything learns from it, and what a whole source amounts to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clad.contract import RobotContract
from clad.data.episode import Episode
from clad.errors import CladError

_UNIT_TOLERANCE = 1e-3  # of a quaternion's length; float32 and rounding stay far below


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: with which field of which episode of which file."""

    file: Path
    episode: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.episode}: {self.field} {self.message}"


def problems(episode: Episode, contract: RobotContract, file: Path) -> list[Problem]:
    """Everything that is wrong with an episode of this robot; empty for a good one. file: for the message."""
    return [
        Problem(file=file, episode=episode.name, field=field, message=message)
        for field, message in (*_arrays(episode, contract), *_meaning(episode, contract))
    ]


def require_valid(episode: Episode, contract: RobotContract, file: Path) -> Episode:
    """The episode itself; raises CladError with the first problem and the number of the others."""
    found = problems(episode, contract, file)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise CladError(f"{found[0]}{more}", f"See all with: clad data check {file}")
    return episode


def _arrays(episode: Episode, contract: RobotContract) -> Iterator[tuple[str, str]]:
    steps, joints, actions = len(episode), len(contract.joint_names), len(contract.action.names)
    widths = {
        "joint_position": joints,
        "joint_velocity": joints,
        "gripper_position": len(contract.gripper_joint_names),
        "ee_position": 3,
        "ee_quaternion": 4,
        "executed": actions,
        "expert": actions,
    }
    if steps == 0:
        yield "executed", "is empty: no step was recorded"
    for field, width in widths.items():
        values = getattr(episode, field)
        if values.shape != (steps, width):
            yield field, f"has shape {values.shape}, {contract.name} wants {(steps, width)}"
        elif not np.isfinite(values).all():
            yield field, f"is not a finite number at step {np.flatnonzero(~np.isfinite(values).all(axis=1))[0]}"
    for field in ("label_valid", "image_valid"):
        values = getattr(episode, field)
        if values.shape != (steps,) or values.dtype != bool:
            yield field, f"is {values.dtype} of shape {values.shape}, must be bool of shape {(steps,)}"
    for camera in contract.cameras:
        if camera not in episode.images:
            have = ", ".join(episode.images) or "none"
            yield f"images.{camera}", f"is missing; cameras here: {have}"
    for camera, images in episode.images.items():
        if images.dtype != np.uint8 or images.ndim != 4 or len(images) != steps or images.shape[3] != 3:
            yield f"images.{camera}", f"is {images.dtype} of shape {images.shape}, must be uint8 ({steps}, H, W, 3)"


def _meaning(episode: Episode, contract: RobotContract) -> Iterator[tuple[str, str]]:
    if not episode.instruction.strip():
        yield "instruction", "is blank"
    for field in ("executed", "expert"):
        values = getattr(episode, field)
        outside = np.flatnonzero((np.abs(values) > 1).any(axis=-1)) if values.ndim == 2 else ()
        if len(outside):
            worst = np.abs(values).max()
            yield field, f"leaves [-1, 1] (up to {worst:.3g}) at {len(outside)} steps, the first being {outside[0]}"
    quaternion = episode.ee_quaternion
    if quaternion.ndim == 2 and np.isfinite(quaternion).all():
        off = np.flatnonzero(np.abs(np.linalg.norm(quaternion, axis=1) - 1) > _UNIT_TOLERANCE)
        if len(off):
            yield "ee_quaternion", f"is not of unit length at {len(off)} steps, the first being {off[0]}"
    if len(episode.image_valid) and not episode.image_valid[0]:
        yield "image_valid", "is False at step 0: nothing was seen before the first action"
