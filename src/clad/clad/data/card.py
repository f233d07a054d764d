"""A data card: what a set of demonstrations holds, measured from the demonstrations themselves, as a page with pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clad.contract import RobotContract
from clad.data.episode import Episode
from clad.data.no_ops import no_ops
from clad.data.sources import Source, find_sources
from clad.eval.stats import wilson

MOMENTS = 6  # columns of the contact sheet, from the first to the last step
PAGE, SHEET = "card.md", "card.png"


@dataclass(slots=True, kw_only=True)
class TaskFacts:
    """Running totals of one task. lengths: steps of each demonstration. seeds: of its scenes, where known.

    noise: (T, N - 1) executed minus meant motion, native, one entry a demonstration that has any.
    attempts, failures: of the collection, from the log beside the file; None where there is none.
    frames: (MOMENTS, H, W, 3) uint8 of the first demonstration.
    """

    instruction: str
    where: str
    attempts: int | None = None
    failures: int | None = None
    lengths: list[int] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    visuals: set[str] = field(default_factory=set)
    noise: list[np.ndarray] = field(default_factory=list)
    imitable: int = 0
    still: int = 0
    frames: np.ndarray | None = None

    def add(self, episode: Episode) -> None:
        """Count a demonstration in."""
        self.lengths.append(len(episode))
        if "seed" in episode.meta:
            self.seeds.append(int(episode.meta["seed"]))
        self.visuals.add(str(episode.meta.get("visuals", "unknown")))
        self.imitable += int(episode.label_valid.sum())
        self.still += int(no_ops(episode.expert, episode.gripper_position).sum())
        noise = (episode.executed - episode.expert)[:, :-1]
        if np.abs(noise).max() > 1e-9:
            self.noise.append(noise)
        if self.frames is None and episode.images:
            moments = np.linspace(0, len(episode) - 1, MOMENTS).round().astype(int)
            self.frames = next(iter(episode.images.values()))[moments]


def survey_tasks(paths: Sequence[Path], contract: RobotContract) -> Iterator[tuple[int, int, list[TaskFacts]]]:
    """(demonstrations read, demonstrations there are, tasks so far) after each one.

    Raises CladError when a path holds none, or one that cannot be read.
    """
    sources = [source for path in paths for source in find_sources(path)]
    tasks: dict[tuple[str, str], TaskFacts] = {}
    logs: set[Path] = set()
    for done, source in enumerate(sources, 1):
        episode = source.read(contract)
        where = f"{episode.meta['suite']} {episode.meta['task']}" if "task" in episode.meta else source.kind
        facts = tasks.setdefault((where, episode.instruction), TaskFacts(instruction=episode.instruction, where=where))
        facts.add(episode)
        _count_attempts(facts, source, logs)
        yield done, len(sources), [facts for _, facts in sorted(tasks.items())]


def markdown(tasks: Sequence[TaskFacts], sheet: str = SHEET) -> str:
    """The card's text. sheet: the contact sheet's file, beside it."""
    steps = sum(sum(t.lengths) for t in tasks)
    head = ("task", "instruction", "n", "attempts that succeeded (Wilson 95 %)", "steps p5 / p50 / p95")
    more = ("visuals", "scene seeds", "with action noise (sd)", "steps to imitate", "still steps")
    rows = [" | ".join(_row(t)) for t in tasks]
    return "\n".join(
        [
            "# Data card",
            "",
            f"{sum(len(t.lengths) for t in tasks)} demonstrations of {len(tasks)} tasks, {steps} steps. "
            "Written by `clad data card` from the demonstrations themselves.",
            "",
            f"| {' | '.join(head + more)} |",
            "|" + "---|" * len(head + more),
            *(f"| {row} |" for row in rows),
            "",
            "Only successes are kept; attempts are those of `clad demos`, from the log beside each file. Action noise: share of "
            "demonstrations in which the executed motion differs from the meant one, and that difference's standard deviation "
            "in native units. Steps to imitate leave out mistakes made on purpose, and, in demonstrations collected since they "
            "are marked, still steps: neither motion nor a new gripper command nor moving fingers.",
            "",
            f"![{MOMENTS} moments of the first demonstration of each task, from its first step to its last]({sheet})",
            "",
        ]
    )


def contact_sheet(tasks: Sequence[TaskFacts]) -> np.ndarray:
    """(rows, columns, 3) uint8: a row a task that has pictures, MOMENTS columns, the task's number in the corner."""
    from PIL import Image, ImageDraw, ImageFont

    strips = []
    for task in tasks:
        if task.frames is not None:
            strip = Image.fromarray(np.concatenate(list(task.frames), axis=1))
            ImageDraw.Draw(strip).text((4, 2), task.where, (255, 255, 0), ImageFont.load_default(13))
            strips.append(np.asarray(strip))
    if not strips:
        return np.zeros((1, 1, 3), dtype=np.uint8)
    width = max(strip.shape[1] for strip in strips)
    return np.concatenate([np.pad(s, ((0, 2), (0, width - s.shape[1]), (0, 0))) for s in strips])


def _count_attempts(facts: TaskFacts, source: Source, logs: set[Path]) -> None:
    log = source.path.with_suffix(".json")
    if source.kind == "libero" and log not in logs and log.is_file():
        logs.add(log)
        body = json.loads(log.read_text())
        facts.attempts = (facts.attempts or 0) + body["attempts_n"]
        facts.failures = (facts.failures or 0) + body["failures_n"]


def _row(task: TaskFacts) -> list[str]:
    n, steps = len(task.lengths), sum(task.lengths)
    succeeded = "-"
    if task.attempts:
        k = task.attempts - task.failures
        low, high = wilson(k, task.attempts)
        succeeded = f"{k}/{task.attempts} ({100 * low:.0f}-{100 * high:.0f} %)"
    noise = f"{100 * len(task.noise) / n:.0f} %"
    if task.noise:
        noise += f" ({np.concatenate(task.noise).std():.2f})"
    return [
        task.where,
        task.instruction,
        str(n),
        succeeded,
        " / ".join(f"{p:.0f}" for p in np.percentile(task.lengths, [5, 50, 95])),
        ", ".join(sorted(task.visuals)),
        f"{min(task.seeds)} to {max(task.seeds)}" if task.seeds else "-",
        noise,
        f"{100 * task.imitable / steps:.1f} %",
        f"{100 * task.still / steps:.1f} %",
    ]
