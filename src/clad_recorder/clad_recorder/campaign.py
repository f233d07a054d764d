"""One condition of a campaign: its episodes through a graph that is running, each with its entry in the manifest."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from rclpy.node import Node

from clad.bag.reader import bag_files, read_messages, read_metadata
from clad.campaign.manifest import INTERRUPTED, Entry, Manifest, fingerprint, record, results_folder
from clad.campaign.operator import GO, OUTCOME, QUIT, RESET, Operator, outcome_answer, reset_answer
from clad.campaign.plan import Item
from clad.errors import CladError
from clad_recorder import bag as bags
from clad_recorder.runner import Runner
from clad_recorder.settings import Settings

RECORDER_ENDS = 15.0  # s that a recorder may take to notice that its campaign was killed


class Stopped(Exception):
    """The operator has asked to stop here."""


class Conductor(Protocol):
    """What clad_bringup.conductor offers, as far as it is needed here."""

    node: Node

    def spin(self, future, timeout: float) -> bool: ...


class Episodes:
    """Runs the episodes of one condition.

    name: the campaign's. before: called with each item before its episode begins; may raise CladError.
    operator: who is asked for a reset (`resets`) and for the outcome (`judges`), None where nobody is.
    """

    def __init__(
        self,
        conductor: Conductor,
        settings: Settings,
        manifest: Manifest,
        *,
        name: str,
        before: Callable[[Item], None],
        operator: Operator | None,
        resets: bool,
        judges: bool,
    ) -> None:
        self._conductor, self._settings, self._manifest = conductor, settings, manifest
        self._name, self._before = name, before
        self._operator, self._resets, self._judges = operator, resets, judges
        self._runner = Runner(conductor.node, conductor.spin, settings)

    def run(self, items: Sequence[Item], told: Callable[[Entry], None]) -> None:
        """Each in turn; `told` is called with each entry. Raises Stopped at the operator's word.

        Raises CladError when an episode cannot be run, or was aborted and nobody is there to try it again.
        """
        try:
            for i, item in enumerate(items):
                words = f"episode {i + 1} of {len(items)}, scene {item.spec.init_index}, seed {item.spec.seed}"
                while not self._resets or self._scene_is_ready(words):
                    entry = self._episode(item)
                    self._manifest.add(entry)
                    told(entry)
                    if entry.counts:
                        break
                    if not self._resets:
                        raise CladError(
                            f"the episode was aborted: {entry.reason}", "Mend that; the same command goes on"
                        )
                    print(f"{entry.outcome}: {entry.reason}; once more", file=sys.stderr, flush=True)
        except (CladError, OSError):
            self._runner.leave()
            raise

    def _episode(self, item: Item) -> Entry:
        folder = results_folder(self._manifest.path.parent, item.condition, item.repeat)
        self._before(item)
        started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        more = {"campaign": self._name, "condition": item.condition, "repeat": item.repeat}
        row, reason = self._runner.episode(item.spec, folder, more, self._judge() if self._judges else None)
        bag = folder / row.bag
        digest, size = fingerprint(bag_files(bag)[0])
        judge = "operator" if self._judges else "graph"
        return Entry(
            condition=item.condition,
            suite=item.spec.suite,
            task=item.spec.task,
            init_index=item.spec.init_index,
            seed=item.spec.seed,
            repeat=item.repeat,
            outcome=row.outcome,
            reason=reason,
            judged_by="" if row.outcome == "aborted" else judge,
            started=started,
            wall_s=row.timing["wall_s"],
            bag=str(bag.relative_to(self._manifest.path.parent)),
            bag_sha256=digest,
            bag_bytes=size,
            row=asdict(row),
        )

    # --- the operator

    def _scene_is_ready(self, words: str) -> bool:
        """Once the operator says so; False to leave this episode for another time."""
        answer = self._answer(f"{words}: {RESET}", reset_answer)
        if answer == QUIT:
            raise Stopped
        return answer == GO

    def _answer(self, question: str, meaning: Callable[[str], str | None]) -> str:
        self._operator.ask(question)
        while True:
            line = self._operator.line()
            if line is None:
                self._conductor.spin(None, 0.05)
            elif (answer := meaning(line)) is not None:
                return answer
            else:
                self._operator.ask(question)

    def _judge(self) -> Callable[[], tuple[str, str] | None]:
        """Asks at its first call, and listens at every one."""
        asked = False

        def judge() -> tuple[str, str] | None:
            nonlocal asked
            line = self._operator.line() if asked else ""
            if line is None:
                return None
            answer = outcome_answer(line)
            if answer is None:
                self._operator.ask(OUTCOME)
                asked = True
            return answer

        return judge


def close_interrupted(manifest: Manifest, condition: str, repeat: int, folder: Path) -> None:
    """Give every bag that a killed campaign left without an entry one: it stays, readable up to the kill, and is not counted."""
    for bag in sorted((folder / "bags").glob("*")):
        if manifest.knows(bag) or bag.name.startswith("."):
            continue
        if not any(bag.glob("*.mcap")) or next(read_messages(bag), None) is None:
            shutil.rmtree(bag)  # cut off before anything was in it
            continue
        metadata = read_metadata(bag)
        if "suite" not in metadata:  # none of ours
            continue
        _recover(bag)
        digest, size = fingerprint(bag_files(bag)[0])
        manifest.add(
            Entry(
                condition=condition,
                suite=metadata["suite"],
                task=int(metadata["task"]),
                init_index=int(metadata["init_index"]),
                seed=int(metadata["seed"]),
                repeat=repeat,
                outcome=INTERRUPTED,
                reason="the campaign was cut off in this episode",
                judged_by="",
                started=datetime.fromtimestamp(float(metadata["started"]), timezone.utc).isoformat(timespec="seconds"),
                wall_s=0.0,
                bag=str(bag.relative_to(manifest.path.parent)),
                bag_sha256=digest,
                bag_bytes=size,
                row=None,
            )
        )


def _recover(bag: Path) -> None:
    """As bags.recover; the recorder of a campaign that was killed a moment ago is given time to end."""
    deadline = time.monotonic() + RECORDER_ENDS
    while True:
        try:
            bags.recover(bag)
            return
        except CladError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def write_result(manifest: Manifest, settings: Settings, condition: str, repeat: int, folder: Path) -> None:
    """result.json of one repetition of a condition, from the manifest alone; nothing where no episode is done."""
    entries = manifest.counted(condition, repeat)
    if not entries:
        return
    result = settings.result(entries[0].suite)
    for entry in entries:
        result.add(record(entry))
    result.started, result.wall_s = min(e.started for e in entries), sum(e.wall_s for e in entries)
    result.write(folder / "result.json")
