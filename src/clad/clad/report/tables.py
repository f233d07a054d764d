"""Rows of a report: an episode each, a task each (of each condition), and all together; as data and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clad.bag.figures import EpisodeFigures
from clad.bag.recording import Recording
from clad.eval.stats import wilson
from clad.report.columns import BRIEF, COLUMNS, Column

SETTINGS = ("policy", "protocol", "mode", "visuals")  # what tells one experiment from another


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Episodes under one line. n counts those with a success or a timeout; not_counted those cut off or aborted.

    quartiles: key of a column -> (25 %, median, 75 %) over all episodes that have the figure.
    """

    condition: str | None
    suite: str | None
    task: int | None
    instruction: str | None
    n: int
    successes: int
    not_counted: int
    wilson_95: tuple[float, float]
    quartiles: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    @property
    def rate(self) -> float | None:
        """Successes of n."""
        return self.successes / self.n if self.n else None

    @property
    def success_text(self) -> str:
        """E.g. '47/50, 84-98 %'."""
        low, high = (100 * end for end in self.wilson_95)
        text = f"{self.successes}/{self.n}, {low:.0f}-{high:.0f} %" if self.n else "-"
        return f"{text} ({self.not_counted} not counted)" if self.not_counted else text


def group(figures: Sequence[EpisodeFigures], *, of_one_task: bool = True) -> Group:
    """All of them under one line."""
    known = [f for f in figures if f.success is not None]
    successes = sum(f.success for f in known)
    columns = {column.key: [v for f in figures if (v := column.value(f)) is not None] for column in COLUMNS}
    first = figures[0] if figures and of_one_task else None
    return Group(
        condition=first.condition if first else None,
        suite=first.suite if first else None,
        task=first.task if first else None,
        instruction=first.instruction if first else None,
        n=len(known),
        successes=successes,
        not_counted=len(figures) - len(known),
        wilson_95=wilson(successes, len(known)),
        quartiles={
            key: tuple(np.percentile(values, [25, 50, 75]).tolist()) for key, values in columns.items() if values
        },
    )


def by_task(figures: Sequence[EpisodeFigures]) -> list[Group]:
    """A group a task and condition, by suite, number and words: on an arm the words alone tell tasks apart."""
    found: dict[tuple, list[EpisodeFigures]] = {}
    for f in sorted(figures, key=_task_key):
        found.setdefault(_task_key(f), []).append(f)
    return [group(same) for same in found.values()]


def settings(figures: Sequence[EpisodeFigures]) -> dict[str, list[str]]:
    """Setting -> its values among the episodes; more than one, and they are not of one experiment."""
    return {name: sorted({v for f in figures if (v := getattr(f, name))}) for name in SETTINGS}


def notes(figures: Sequence[EpisodeFigures]) -> list[str]:
    """Sentences on what should not be pooled; a campaign's conditions have lines of their own."""
    return [note for same in by_condition(figures).values() for note in _pooled(same)]


def by_condition(figures: Sequence[EpisodeFigures]) -> dict[str | None, list[EpisodeFigures]]:
    """Condition -> its episodes; None: those of no campaign."""
    found: dict[str | None, list[EpisodeFigures]] = {}
    for f in figures:
        found.setdefault(f.condition, []).append(f)
    return found


def _pooled(figures: Sequence[EpisodeFigures]) -> list[str]:
    found = [
        f"{len(values)} values of {name} are pooled here: {', '.join(values)}"
        for name, values in settings(figures).items()
        if len(values) > 1
    ]
    counts = Counter(f.key for f in figures if f.success is not None and f.suite)
    if repeats := sorted(key for key, count in counts.items() if count > 1):
        shown = ", ".join("/".join(map(str, key)) for key in repeats[:3])
        found.append(f"{len(repeats)} episodes are here more than once (suite/task/init/seed): {shown}")
    return found


def episode_text(recordings: Sequence[Recording]) -> str:
    """A line an episode."""
    rows = [["bag", "task", "init", "seed", "outcome", *(column.head for column in BRIEF)]]
    for recording in recordings:
        for f in (episode.figures for episode in recording.episodes):
            cells = [column.text(column.value(f)) for column in BRIEF]
            rows.append([recording.path.name, _of(f.task), _of(f.init_index), _of(f.seed), f.outcome or "-", *cells])
    return aligned(rows)


def task_text(groups: Sequence[Group]) -> str:
    """A line a task: success with its Wilson 95 % interval, then medians over episodes."""
    rows = [["task", "success, Wilson 95 %", *(column.head for column in BRIEF)]]
    for g in groups:
        rows.append([task_name(g), g.success_text, *(median_text(g, column) for column in BRIEF)])
    return aligned(rows)


def median_text(g: Group, column: Column) -> str:
    """The median over the group's episodes."""
    quartiles = g.quartiles.get(column.key)
    return column.text(None if quartiles is None else quartiles[1])


def task_name(g: Group) -> str:
    """Suite and number; on an arm the words; 'all' of no one task. Before it the condition, where there is one."""
    name = f"{g.suite} {g.task}" if g.suite else g.instruction or "all"
    return f"{g.condition}: {name}" if g.condition else name


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, the first to the left and the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths)))
        for row in rows
    )


def _task_key(f: EpisodeFigures) -> tuple:
    return (f.condition or "", f.suite or "", f.task if f.task is not None else -1, f.instruction or "")


def _of(value: Any) -> str:
    return "-" if value is None else str(value)
