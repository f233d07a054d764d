"""A report: one or two sets of recordings, read with a progress bar, and what comes of them as data."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clad.bag.figures import EpisodeFigures
from clad.bag.recording import RecordedEpisode, Recording, read_recording
from clad.contract import RobotContract
from clad.errors import CladError, UsageError
from clad.report.compare import Comparison, compare
from clad.report.tables import by_condition, by_task, group, notes, settings

SCHEMA = 1


@dataclass(slots=True, kw_only=True)
class ReportSet:
    """label: what tables and plots call it."""

    label: str
    recordings: list[Recording] = field(default_factory=list)

    @property
    def episodes(self) -> list[RecordedEpisode]:
        return [episode for recording in self.recordings for episode in recording.episodes]

    @property
    def figures(self) -> list[EpisodeFigures]:
        return [episode.figures for episode in self.episodes]

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(bag, sentence): what is wrong with recordings, and what should not be pooled."""
        wrong = [(r.path.name, problem) for r in self.recordings for problem in r.problems]
        return wrong + [("", note) for note in notes(self.figures)]

    @property
    def live(self) -> tuple[int, int]:
        """(episodes whose live figures equal the bag's, bit for bit; episodes that have live figures)."""
        told = [episode.differs for episode in self.episodes if episode.differs is not None]
        return sum(not differs for differs in told), len(told)


@dataclass(slots=True, kw_only=True)
class Report:
    """sets: the one reported, and the one that it is held against, if any."""

    sets: list[ReportSet]
    comparison: Comparison | None = None


def make_report(
    bags: Sequence[Path],
    against: Sequence[Path] = (),
    *,
    labels: tuple[str, str] = ("", ""),
    contract: RobotContract | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Report:
    """Read bags one by one. progress: wraps what is iterated over, as tqdm does.

    A bag that cannot be read at all becomes a problem among the others. Raises CladError when a single one cannot be
    read, UsageError when a set that is compared has several conditions of a campaign.
    """
    wanted = [(0, bag) for bag in bags] + [(1, bag) for bag in against]
    sets = [ReportSet(label=labels[0]), *([ReportSet(label=labels[1])] if against else [])]
    for place, bag in progress(wanted):
        try:
            sets[place].recordings.append(read_recording(bag, contract))
        except CladError as error:
            if len(wanted) == 1:
                raise
            sets[place].recordings.append(Recording(path=bag, problems=[str(error)]))
    if against:
        _one_condition_each(sets)
    comparison = compare(sets[0].figures, sets[1].figures) if against else None
    return Report(sets=sets, comparison=comparison)


def _one_condition_each(sets: Sequence[ReportSet]) -> None:
    """Episodes are paired by task, state and seed, which the conditions of a campaign share."""
    for one in sets:
        if len(conditions := by_condition(one.figures)) > 1:
            raise UsageError(
                f"{one.label} has {len(conditions)} conditions: {', '.join(map(str, conditions))}",
                "Give --against and its other side a folder of one condition each",
            )


def as_data(report: Report) -> dict[str, Any]:
    """The whole report as plain data: what `--json` writes (docs/metrics.md)."""
    return {
        "schema": SCHEMA,
        "sets": [
            {
                "label": one.label,
                "settings": settings(one.figures),
                "total": asdict(group(one.figures, of_one_task=False)),
                "tasks": [asdict(g) for g in by_task(one.figures)],
                "live_equal": one.live,
                "recordings": [_recording(recording) for recording in one.recordings],
                "notes": [sentence for bag, sentence in one.problems if not bag],
            }
            for one in report.sets
        ],
        "comparison": None if report.comparison is None else asdict(report.comparison),
    }


def write_json(report: Report, path: Path) -> None:
    path.write_text(json.dumps(as_data(report), indent=1, allow_nan=False) + "\n")


def write_csv(report: Report, path: Path) -> None:
    """A row an episode, a column a figure; an empty cell where there is none. What has reasons is JSON in a cell."""
    rows = [
        {"set": one.label, "bag": str(recording.path)}
        | e.figures.flat()
        | {name: json.dumps(getattr(e.figures, name)) for name in ("hold_s", "clamps")}
        for one in report.sets
        for recording in one.recordings
        for e in recording.episodes
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=columns)
        writer.writeheader()
        writer.writerows(rows)


def _recording(recording: Recording) -> dict[str, Any]:
    return {
        "bag": str(recording.path),
        "whole": recording.whole,
        "problems": recording.problems,
        "metadata": recording.metadata,
        "episodes": [asdict(episode.figures) for episode in recording.episodes],
    }
