"""From one kind of demonstrations to another. The target appears when it is complete, and not before."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from clad.contract import RobotContract
from clad.data import libero_hdf5
from clad.data.embedded import embed
from clad.data.episode import Episode, succeeded
from clad.data.no_ops import no_ops
from clad.data.rosbag import Told, read_episode
from clad.data.sources import Source
from clad.data.validate import require_valid
from clad.errors import CladError, UsageError

RELATIVE = ("OSC_POSE_DELTA", "JOINT_DELTA", "EE_TWIST")  # actions of which zero means: stay


class Selection:
    """Reads episodes for a conversion; `left_out` says in words which ones it passed over, and why.

    only_success: pass over episodes that did not end in success. skip_bad: pass over what cannot be read or is invalid,
    instead of stopping there. no_ops: mark steps at which nothing is done as not worth imitating (clad.data.no_ops).
    told: what a person says of bags that are silent.
    """

    def __init__(
        self,
        contract: RobotContract,
        *,
        only_success: bool = False,
        skip_bad: bool = False,
        no_ops: bool = False,
        told: Told = Told(),
    ) -> None:
        spec = contract.action
        if no_ops and (spec.representation not in RELATIVE or spec.gripper_index != len(spec.names) - 1):
            raise UsageError(
                f"no-ops are not known for {spec.representation} actions of {contract.name}", "Leave it out"
            )
        self._contract, self._told = contract, told
        self._only_success, self._skip_bad, self._no_ops = only_success, skip_bad, no_ops
        self.left_out: list[str] = []

    def read(self, source: Source) -> Episode | None:
        """The episode, None where it is passed over. Raises CladError as `Source.read` does."""
        try:
            episode = require_valid(self._read(source), self._contract, source.path)
        except CladError as error:
            if not self._skip_bad:
                raise
            self.left_out.append(f"{source.key}: {error}")
            return None
        if self._only_success and not succeeded(episode):
            self.left_out.append(f"{source.key}: ended as {episode.meta['outcome']}")
            return None
        if self._no_ops:
            still = no_ops(episode.expert, episode.gripper_position)
            return dataclasses.replace(episode, label_valid=episode.label_valid & ~still)
        return episode

    def _read(self, source: Source) -> Episode:
        if source.kind == "rosbag":
            return read_episode(source.path, source.name, self._contract, self._told)
        return source.read_unchecked(self._contract)


def convert(
    sources: Sequence[Source], target: Path, to: str, contract: RobotContract, selection: Selection | None = None
) -> Iterator[tuple[int, int]]:
    """Write the episodes of `sources` into the new folder `target`; yields (episodes written, episodes looked at).

    lerobot: one dataset. libero: one file a task, named as upstream names its own, without MuJoCo states. Both hold the
    contract. selection: default: every episode as it is.
    Raises UsageError when the target exists or a source is of that kind already, CladError for an invalid episode.
    """
    if target.exists():
        raise UsageError(f"{target} exists already", "Nothing is overwritten; choose another name")
    same = next((s for s in sources if s.kind == to), None)
    if same is not None:
        raise UsageError(f"{same.path} is of kind {to} already", "Convert to another kind or choose another source")
    selection = selection or Selection(contract)
    looked = 0

    def episodes() -> Iterator[Episode]:
        nonlocal looked
        for looked, source in enumerate(sources, start=1):
            if (episode := selection.read(source)) is not None:
                yield episode

    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    writer, written = _to_lerobot if to == "lerobot" else _to_libero, 0
    try:
        for written, _ in enumerate(writer(episodes(), partial, contract), start=1):
            yield written, looked
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    yield written, looked


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
            **embed(contract),
        }
        libero_hdf5.write_episode(file, episode, states=None, file_attrs=attrs)
        yield
    if not files:
        raise CladError(f"no episode for {root}", "Give a source with episodes")
    for file in files:
        libero_hdf5.pack(file)
