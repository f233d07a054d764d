"""A result as text: one row an episode, and the summary with its interval. Plain for terminals, or Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clad.eval.result import EpisodeRecord, EvalResult
from clad.eval.stats import wilson


def _milliseconds(record: EpisodeRecord, key: str) -> str:
    value = (record.timing.get("compute") or {}).get(key)
    return "-" if value is None else f"{value:.1f}"


def _seconds(record: EpisodeRecord, key: str) -> str:
    value = record.timing.get(key)
    return "-" if value is None else f"{value:.1f}"


# title -> cell; `compute` is observation to chunk
COLUMNS: dict[str, Callable[[EpisodeRecord], str]] = {
    "suite": lambda r: r.suite,
    "task": lambda r: str(r.task),
    "init": lambda r: "-" if r.init_index is None else str(r.init_index),
    "seed": lambda r: str(r.seed),
    "outcome": lambda r: r.outcome,
    "steps": lambda r: str(r.steps),
    "compute p50 ms": lambda r: _milliseconds(r, "p50_ms"),
    "p99 ms": lambda r: _milliseconds(r, "p99_ms"),
    "render s": lambda r: _seconds(r, "render_s"),
    "wall s": lambda r: _seconds(r, "wall_s"),
}


def episode_table(records: Sequence[EpisodeRecord], *, markdown: bool = False) -> str:
    """All rows under a header, columns aligned."""
    rows = [list(COLUMNS), *([cell(r) for cell in COLUMNS.values()] for r in records)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    if markdown:
        lines = [f"| {' | '.join(row)} |" for row in rows]
        lines.insert(1, "|" + "---|" * len(COLUMNS))
    return "\n".join(lines)


def rate_text(successes: int, n: int) -> str:
    """E.g. '47/50 = 94.0 % (Wilson 95 %: 83.8-97.9 %)'."""
    low, high = wilson(successes, n)
    rate = 100 * successes / n if n else 0.0
    return f"{successes}/{n} = {rate:.1f} % (Wilson 95 %: {100 * low:.1f}-{100 * high:.1f} %)"


def summary(result: EvalResult) -> str:
    """What was run and its success rate, in two lines; a line a task when there are several."""
    tasks = sorted({(r.suite, r.task, r.instruction) for r in result.episodes})
    lines = [
        f"model {result.model['name']}@{result.model['sha256'][:12]}, {result.suite}, protocol {result.protocol}, "
        f"{result.mode}, {result.visuals} visuals, {result.wall_s:.0f} s"
    ]
    if len(tasks) > 1:
        for suite, task, instruction in tasks:
            rows = [r for r in result.episodes if (r.suite, r.task) == (suite, task)]
            lines.append(f"  task {task} ({instruction}): {rate_text(sum(r.success for r in rows), len(rows))}")
    lines.append(f"success {rate_text(result.successes, len(result.episodes))}")
    return "\n".join(lines)
