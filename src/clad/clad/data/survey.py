"""What a source of demonstrations amounts to, and everything that is wrong with it. Reads every episode once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clad.contract import RobotContract
from clad.data import libero_official
from clad.data.episode import Episode
from clad.data.sources import Source, episodes_of, find_paths
from clad.data.validate import Problem, problems
from clad.errors import CladError
from clad.safety.replay import Replay

SCHEMA = 1


@dataclass(slots=True, kw_only=True)
class Survey:
    """Running totals. lengths: steps of each readable episode. tasks: instruction -> [episodes, steps].

    imitable: steps whose expert action is worth imitating. looked: steps with images of their own.
    cameras: name -> the picture sizes (height, width) that occur. safety: what the robot's safety filter makes of the
    executed actions, None where nobody asked.
    """

    robot: str
    sources: list[dict[str, Any]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    tasks: dict[str, list[int]] = field(default_factory=dict)
    cameras: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    imitable: int = 0
    looked: int = 0
    problems: list[Problem] = field(default_factory=list)
    safety: Replay | None = None

    def add(self, episode: Episode) -> None:
        """Count a readable episode in."""
        steps = len(episode)
        self.lengths.append(steps)
        task = self.tasks.setdefault(episode.instruction, [0, 0])
        task[0] += 1
        task[1] += steps
        self.imitable += int(np.sum(episode.label_valid))
        self.looked += int(np.sum(episode.image_valid))
        for camera, images in episode.images.items():
            self.cameras.setdefault(camera, set()).add(images.shape[1:3])

    def to_dict(self) -> dict[str, Any]:
        """For --json; sizes as [height, width]."""
        lengths = self.lengths or [0]
        return {
            "schema": SCHEMA,
            "robot": self.robot,
            "sources": self.sources,
            "episodes": len(self.lengths),
            "steps": sum(self.lengths),
            "imitable_steps": self.imitable,
            "steps_with_images": self.looked,
            "length": {"min": min(lengths), "median": float(np.median(lengths)), "max": max(lengths)},
            "tasks": [{"instruction": k, "episodes": e, "steps": s} for k, (e, s) in sorted(self.tasks.items())],
            "cameras": {name: sorted(map(list, sizes)) for name, sizes in self.cameras.items()},
            "problems": [asdict(p) | {"file": str(p.file)} for p in self.problems],
            "safety": None if self.safety is None else asdict(self.safety),
        }


def survey(path: Path, contract: RobotContract, *, safety: bool = False) -> Iterator[Survey]:
    """The survey so far, after every episode, and at the end. safety: also replay each through the safety filter.

    Raises CladError when there is nothing at `path`.
    """
    result = Survey(robot=contract.name, safety=Replay() if safety else None)
    for kind, place in find_paths(path):
        found, before = _episodes(result, kind, place), len(result.lengths)
        for source in found:
            _look(result, source, contract)
            yield result
        steps = sum(result.lengths[before:])
        result.sources.append({"kind": kind, "path": str(place), "episodes": len(found), "steps": steps})
    yield result


def _episodes(result: Survey, kind: str, place: Path) -> list[Source]:
    try:
        found = episodes_of(kind, place)
        counts = libero_official.count_problems(place) if kind == "libero" else []
    except CladError as error:
        result.problems.append(Problem(file=place, episode="", field="", message=str(error)))
        return []
    result.problems += [Problem(file=place, episode="", field=name, message=what) for name, what in counts]
    return found


def _look(result: Survey, source: Source, contract: RobotContract) -> None:
    try:
        episode = source.read_unchecked(contract)
    except CladError as error:  # its message names the field
        result.problems.append(Problem(file=source.path, episode=source.name, field="", message=str(error)))
        return
    result.add(episode)
    found = problems(episode, contract, source.path)
    result.problems += found
    if result.safety is not None and not found:
        result.safety.add(episode, contract)
