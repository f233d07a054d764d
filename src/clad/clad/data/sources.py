"""Demonstrations of every kind behind one door: LIBERO HDF5 files, LeRobot datasets, rosbag2 bags, and folders of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from clad.contract import RobotContract, load_contract
from clad.data.episode import Episode
from clad.data.validate import require_valid
from clad.errors import CladError

_UNFINISHED = (".parts", ".tmp", ".partial")  # demonstrations still being written are reached through their index


# kind -> the module that reads it, imported on first use because each needs a library of its own. All have
# episode_names(path), read_episode(path, name, contract), fingerprint(path, name) and embedded_contract(path).
MODULES = {"libero": "clad.data.libero_hdf5", "lerobot": "clad.data.lerobot", "rosbag": "clad.data.rosbag"}
LEROBOT_INFO = "meta/info.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One episode where it lies. key: its place below the folder that was searched, with its own name last."""

    kind: str
    path: Path
    name: str
    key: str

    def read_unchecked(self, contract: RobotContract) -> Episode:
        """The episode as it is, for who wants to know all that is wrong with it. Raises CladError if it can't be read."""
        return _module(self.kind).read_episode(self.path, self.name, contract)

    def read(self, contract: RobotContract) -> Episode:
        """The episode; raises CladError naming file, episode and field unless everything in it is valid."""
        return require_valid(self.read_unchecked(contract), contract, self.path)

    def fingerprint(self) -> str:
        """Changes when the episode's actions change."""
        return _module(self.kind).fingerprint(self.path, self.name)


def kind_of(path: Path) -> str | None:
    """libero, lerobot or rosbag for a path that is one; None for anything else, plain folders included."""
    if path.is_file():
        return {".hdf5": "libero", ".h5": "libero", ".mcap": "rosbag"}.get(path.suffix)
    if (path / LEROBOT_INFO).is_file():
        return "lerobot"
    return "rosbag" if path.is_dir() and any(path.glob("*.mcap")) else None


def find_paths(path: Path) -> list[tuple[str, Path]]:
    """(kind, path) of the source that `path` is, or of all the sources below it, in order of their paths.

    Raises CladError when there is none.
    """
    path = Path(path)
    kind = kind_of(path)
    found = [(kind, path)] if kind else sorted(_below(path), key=lambda item: item[1])
    if not found:
        raise CladError(
            f"there is no demonstration in {path}: no LIBERO file (*.hdf5), LeRobot dataset or rosbag2 bag (*.mcap)",
            "Make some with: clad demos",
        )
    return found


def embedded_contract(kind: str, place: Path) -> RobotContract | None:
    """The robot that a source says it shows; None where it doesn't say."""
    return _module(kind).embedded_contract(place)


def episodes_of(kind: str, place: Path, searched: Path | None = None) -> list[Source]:
    """The episodes of one source, their keys relative to the path that was searched (default: the source itself)."""
    stem = _stem(place, searched or place)
    return [
        Source(kind=kind, path=place, name=name, key=f"{stem}/{name}") for name in _module(kind).episode_names(place)
    ]


def find_sources(path: Path) -> list[Source]:
    """Every episode at or below `path`, in order. Raises CladError when there is nothing, or a file is foreign."""
    return [source for kind, place in find_paths(path) for source in episodes_of(kind, place, Path(path))]


def open_episodes(path: Path, contract: RobotContract | None = None) -> Iterator[Episode]:
    """Every episode at or below `path`, read one by one and checked against `contract` (LIBERO's by default).

    Raises CladError naming file, episode and field for the first thing that is wrong.
    """
    contract = contract or load_contract("libero")
    for source in find_sources(path):
        yield source.read(contract)


def _module(kind: str) -> ModuleType:
    return importlib.import_module(MODULES[kind])


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.name.startswith(".") or entry.name.endswith(_UNFINISHED):
            continue
        kind = kind_of(entry)
        if kind:
            yield kind, entry
        elif entry.is_dir():
            yield from _below(entry)


def _stem(place: Path, searched: Path) -> Path:
    place = place.with_suffix("") if place.is_file() else place
    return place.relative_to(searched.parent if kind_of(searched) else searched)
