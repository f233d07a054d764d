"""manifest.json: every episode that a campaign has run, with its bag. The one record that resuming goes by.

Written anew after every episode, in one step: a kill leaves the old file or the new one. Result files are made from it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clad.campaign.plan import Condition, Item
from clad.errors import CladError, UsageError
from clad.eval.machine import machine, versions
from clad.eval.result import EpisodeRecord

FILE = "manifest.json"
SCHEMA = 1
INTERRUPTED = "interrupted"  # the outcome of an attempt that was cut off; beside those of a result
_KEY = ("condition", "suite", "task", "init_index", "seed", "repeat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One attempt at an episode.

    outcome: a result's, or INTERRUPTED. judged_by: 'operator' where one was asked; 'graph': the simulator's predicate, the
    fake robot's, the step limit or whoever called /set_outcome; '' of what does not count. bag: relative to the manifest. bag_sha256, bag_bytes: of its MCAP file. wall_s: of the episode.
    row: the result's row, its paths relative to the result.json; None when the attempt was cut off.
    """

    condition: str
    suite: str
    task: int
    init_index: int
    seed: int
    repeat: int
    outcome: str
    reason: str
    judged_by: str
    started: str
    wall_s: float
    bag: str
    bag_sha256: str
    bag_bytes: int
    row: Mapping[str, Any] | None

    @property
    def key(self) -> tuple:
        """As Item.key."""
        return tuple(getattr(self, name) for name in _KEY)

    @property
    def counts(self) -> bool:
        """Whether the episode is done; one that was aborted or cut off is run again."""
        return self.outcome in ("success", "timeout")


class Manifest:
    """settings: what all episodes share. conditions: by name, as they were run. entries: in the order run."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, dict(settings)
        self.conditions: dict[str, dict] = {}
        self.entries: list[Entry] = []
        self._done: set[tuple] = set()

    @classmethod
    def resume(cls, folder: Path, settings: Mapping[str, Any]) -> Manifest:
        """The manifest in a campaign's folder, or an empty one.

        Raises CladError for a damaged file, UsageError when it was made with other settings.
        """
        manifest = cls(folder / FILE, settings)
        if not manifest.path.exists():
            return manifest
        try:
            body = json.loads(manifest.path.read_text())
            if body["schema"] != SCHEMA:
                raise ValueError(f"schema {body['schema']}, not {SCHEMA}")
            manifest.conditions = dict(body["conditions"])
            manifest.entries = [Entry(**entry) for entry in body["episodes"]]
            manifest._done = {entry.key for entry in manifest.entries if entry.counts}
            found = dict(body["settings"])
        except (ValueError, KeyError, TypeError) as error:
            raise CladError(
                f"{manifest.path} is damaged: {error}", "Restore a whole copy, or give another --out"
            ) from error
        _same(f"{manifest.path} was made with", found, manifest.settings)
        return manifest

    def begin(self, condition: Condition, facts: Mapping[str, Any]) -> None:
        """Note a condition, with its model's and contract's hashes. Raises UsageError when they were others before."""
        told = {**asdict(condition), **facts}
        _same(f"condition {condition.name} was run with", self.conditions.get(condition.name, told), told)
        self.conditions[condition.name] = told

    def has(self, item: Item) -> bool:
        """Whether this episode is done."""
        return item.key in self._done

    def add(self, entry: Entry) -> None:
        """One more attempt, on disk when this returns."""
        self.entries.append(entry)
        self._done |= {entry.key} if entry.counts else set()
        body = {"schema": SCHEMA, "settings": self.settings, "conditions": self.conditions}
        body |= {"machine": machine(), "versions": versions(), "episodes": [asdict(e) for e in self.entries]}
        temporary = self.path.with_name(f".{FILE}.{os.getpid()}")
        with temporary.open("w") as stream:
            stream.write(json.dumps(body, indent=1, allow_nan=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, self.path)

    def counted(self, condition: str, repeat: int | None = None) -> list[Entry]:
        """Entries of the episodes of a condition that are done; of one repetition, or of all."""
        return [e for e in self.entries if e.counts and e.condition == condition and repeat in (None, e.repeat)]

    def knows(self, bag: Path) -> bool:
        """Whether a bag has its entry."""
        return any(self.path.parent / entry.bag == bag for entry in self.entries)


def record(entry: Entry) -> EpisodeRecord:
    """The row of an episode that counts."""
    return EpisodeRecord(**entry.row)


def results_folder(folder: Path, condition: str, repeat: int) -> Path:
    """Where result.json, bags/ and videos of one repetition of a condition lie: a result has each episode once."""
    return folder / condition / ("" if repeat == 1 else f"repeat-{repeat}")


def fingerprint(file: Path) -> tuple[str, int]:
    """(sha256, bytes) of a file, read piece by piece."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Within, no other process runs a campaign in this folder. Raises UsageError when one does."""
    with (folder / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"a campaign is running in {folder}", "Wait for it, or give another --out") from None
        yield


def _same(what: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises UsageError naming the first value that differs."""
    for name, value in wanted.items():
        if found.get(name) != value:
            raise UsageError(f"{what} {name} {found.get(name)}, not {value}", "Use the same, or another --out")
