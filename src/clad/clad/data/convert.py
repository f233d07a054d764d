"""From one kind of demonstrations to another. The target appears when it is complete, and not before."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from clad.contract import RobotContract
from clad.data import libero_hdf5
from clad.data.episode import Episode
from clad.data.sources import find_sources
from clad.errors import CladError, UsageError

TARGETS = ("lerobot", "libero")


def convert(source: Path, target: Path, to: str, contract: RobotContract) -> Iterator[tuple[int, int]]:
    """Write every episode of `source` into the new folder `target`; yields (episodes done, episodes in all).

    lerobot: one dataset. libero: one file a task, named as upstream names its own, without MuJoCo states.
    Raises UsageError when the target exists or a source is of that kind already, CladError for an invalid episode.
    """
    if target.exists():
        raise UsageError(f"{target} exists already", "Nothing is overwritten; choose another name")
    sources = find_sources(source)
    same = next((s for s in sources if s.kind == to), None)
    if same is not None:
        raise UsageError(f"{same.path} is of kind {to} already", "Convert to another kind or choose another source")
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        episodes = (s.read(contract) for s in sources)
        writer = _to_lerobot if to == "lerobot" else _to_libero
        for done, _ in enumerate(writer(episodes, partial, contract), start=1):
            yield done, len(sources)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _to_lerobot(episodes: Iterator[Episode], root: Path, contract: RobotContract) -> Iterator[None]:
    from clad.data.lerobot_writer import DatasetWriter

    writer = DatasetWriter(root, contract)
    for episode in episodes:
        writer.add(episode)
        yield
    writer.close()


def _to_libero(episodes: Iterator[Episode], root: Path, contract: RobotContract) -> Iterator[None]:
    if contract.name != "libero":
        raise CladError(f"LIBERO's layout holds LIBERO's robot, not {contract.name}", "Convert to lerobot")
    files: dict[Path, str] = {}
    for episode in episodes:
        task = str(episode.meta.get("task_name") or re.sub(r"[^a-z0-9]+", "_", episode.instruction.lower()).strip("_"))
        file = root / str(episode.meta.get("suite", "")) / f"{task}_demo.hdf5"
        if files.setdefault(file, episode.instruction) != episode.instruction:
            raise CladError(f"{file.name} would hold two tasks: '{files[file]}' and '{episode.instruction}'", "")
        attrs = {
            "problem_info": {"language_instruction": episode.instruction, "task_name": task},
            "bddl_file_name": f"{task}.bddl",
        }
        libero_hdf5.write_episode(file, episode, states=None, file_attrs=attrs)
        yield
    for file in files:
        libero_hdf5.pack(file)
