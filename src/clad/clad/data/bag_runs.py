"""Which episodes a bag holds: their actions, and what was said of them. No image is decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from clad.bag.reader import BagMessage, bag_files, read_messages
from clad.contract import RobotContract
from clad.errors import CladError
from clad.stamps import SECOND

EXECUTED_ACTION, EPISODE = "/executed_action", "/episode"
ACTION_TYPE, STATUS_TYPE = "clad_interfaces/msg/ExecutedAction", "clad_interfaces/msg/EpisodeStatus"
RESTARTED = "The bridge was restarted while this was recorded: cut the bag there"


@dataclass(slots=True, kw_only=True)
class Run:
    """One episode's actions by step, and what was said of it, in order. number: ExecutedAction.episode."""

    number: int
    actions: dict[int, Any] = field(default_factory=dict)
    statuses: list[Any] = field(default_factory=list)

    @property
    def span(self) -> tuple[int, int]:
        """Stamps of the first and the last action, ns."""
        stamps = [stamp_of(action) for action in self.actions.values()]
        return min(stamps), max(stamps)


def episode_names(path: Path) -> list[str]:
    """episode_0, episode_1, ... in the order of their time. Raises CladError when `path` is no bag."""
    return [f"episode_{i}" for i in range(max(1, len(runs(path))))]


def runs(path: Path) -> tuple[Run, ...]:
    """The bag's episodes that have actions, in the order of their time. Raises CladError when `path` is no bag."""
    files = [(file, file.stat()) for file in bag_files(Path(path))]
    return _runs(Path(path), tuple((str(file), stat.st_mtime_ns, stat.st_size) for file, stat in files))


@lru_cache(maxsize=2)
def _runs(path: Path, _version: tuple) -> tuple[Run, ...]:
    found: dict[int, Run] = {}
    statuses: dict[int, list[Any]] = {}
    for item in typed_messages(path, {EXECUTED_ACTION: ACTION_TYPE, EPISODE: STATUS_TYPE}):
        message = item.message
        if item.topic == EPISODE:
            statuses.setdefault(message.episode, []).append(message)
            continue
        known = found.setdefault(message.episode, Run(number=message.episode)).actions
        before = known.setdefault(message.step, message)
        if stamp_of(before) != stamp_of(message) or list(before.values) != list(message.values):
            raise CladError(
                f"{path}: {EXECUTED_ACTION}: step {message.step} of episode {message.episode} was executed twice",
                RESTARTED,
            )
    for number, run in found.items():
        run.statuses = statuses.get(number, [])
    ordered = sorted(found.values(), key=lambda run: run.span)
    for one, other in zip(ordered, ordered[1:]):
        if other.span[0] <= one.span[1]:
            raise CladError(f"{path}: episodes {one.number} and {other.number} have the same time", RESTARTED)
    return tuple(ordered)


def run_named(path: Path, name: str) -> Run:
    """Raises CladError when the bag has no such episode, or none at all."""
    found = dict(zip(episode_names(path), runs(path)))
    if not found:
        raise CladError(f"{path}: {EXECUTED_ACTION}: no action was recorded", "The bag holds no episode")
    if name not in found:
        raise CladError(f"{path} has no episode {name}", f"It has {', '.join(found)}")
    return found[name]


def in_order(path: Path, run: Run, contract: RobotContract) -> list[Any]:
    """The episode's actions, step 0 first; raises CladError where one is missing or of another robot."""
    steps = sorted(run.actions)
    gap = next((i for i, step in enumerate(steps) if i != step), None)
    if gap is not None:
        remedy = "The recorder lost it; record again" if gap else "Start the recorder before the episode"
        raise CladError(f"{path}: {EXECUTED_ACTION}: step {gap} is missing", remedy)
    actions, names = [run.actions[step] for step in steps], contract.action.names
    for message in actions:
        if tuple(message.names) != names or len(message.values) != len(names):
            shown = ", ".join(message.names)
            raise CladError(f"{path}: {EXECUTED_ACTION}: actions are {shown}, not those of {contract.name}", "")
    return actions


def typed_messages(path: Path, types: Mapping[str, str]) -> Iterator[BagMessage]:
    """Messages of the topics, topic -> type. Raises CladError when a topic has another type."""
    for item in read_messages(path, types):
        if item.type != types[item.topic]:
            raise CladError(f"{path}: {item.topic} is {item.type}, not {types[item.topic]}", "Remap it when recording")
        yield item


def stamp_of(message) -> int:
    """A message's header stamp in ns."""
    return message.header.stamp.sec * SECOND + message.header.stamp.nanosec
