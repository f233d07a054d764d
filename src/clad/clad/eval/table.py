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
    """What was run and its success rate; of several tasks a line each, and the average over them."""
    by_task = _by_task(result.episodes)
    lines = [
        f"model {result.model['name']}@{result.model['sha256'][:12]}, {result.suite}, protocol {result.protocol}, "
        f"{result.mode}, {result.visuals} visuals{_how(result)}, {result.wall_s:.0f} s"
    ]
    if len(by_task) > 1:
        for task, rows in by_task.items():
            lines.append(f"  task {task} ({rows[0].instruction}): {rate_text(_successes(rows), len(rows))}")
        lines.append(f"average over {len(by_task)} tasks {100 * _average(by_task):.1f} %")
    lines.append(f"success {rate_text(result.successes, len(result.episodes))}")
    return "\n".join(lines)


def comparison(results: Sequence[tuple[str, EvalResult]]) -> str:
    """A Markdown table: a row a result, a column a task, then the average over a row's own tasks and all its episodes.

    results: (label, result) pairs. Cells: successes/n and the Wilson 95 % interval; "-": not run.
    """
    tasks = sorted({(row.suite, row.task) for _, result in results for row in result.episodes})
    suites = {suite for suite, _ in tasks}
    heads = [f"{suite} {task}" if len(suites) > 1 else str(task) for suite, task in tasks]
    lines = [
        f"| run | {' | '.join(heads)} | average over tasks | all episodes |",
        "|" + "---|" * (len(heads) + 3),
    ]
    for label, result in results:
        by_task = _by_task(result.episodes)
        cells = [_cell(by_task.get(task, []) if suite == result.suite else []) for suite, task in tasks]
        average = f"{100 * _average(by_task):.1f} % of {len(by_task)}" if by_task else "-"
        lines.append(f"| {label} | {' | '.join(cells)} | {average} | {_cell(result.episodes)} |")
    return "\n".join(lines)


def run_label(result: EvalResult) -> str:
    """What tells one run from another in a table: the model and everything that is not the default."""
    marks = [
        *([] if result.protocol == "exact" else [result.protocol]),
        *([] if result.visuals == "full" else [f"{result.visuals} visuals"]),
        *([] if result.mode == "lockstep" else [result.mode]),
    ]
    return ", ".join([result.model["name"], *marks]) + _how(result)


def _how(result: EvalResult) -> str:
    marks = [
        *([] if result.precision == "fp32" else [result.precision]),
        *(["fused"] if result.fused else []),
        *([f"{result.sample_steps} sampling steps"] if result.sample_steps else []),
        *(["warm start"] if result.warm_start else []),
        *([] if result.execution == "sync" else [result.execution]),
        *(f"{name} {level:g}" for name, level in result.perturbations.items()),
    ]
    return "".join(f", {mark}" for mark in marks)


def _by_task(rows: Sequence[EpisodeRecord]) -> dict[int, list[EpisodeRecord]]:
    return {task: [r for r in rows if r.task == task] for task in sorted({r.task for r in rows})}


def _average(by_task: dict[int, list[EpisodeRecord]]) -> float:
    """Mean of the tasks' success rates: every task counts alike, however many episodes it has."""
    return sum(_successes(rows) / len(rows) for rows in by_task.values()) / len(by_task)


def _cell(rows: Sequence[EpisodeRecord]) -> str:
    if not rows:
        return "-"
    low, high = wilson(_successes(rows), len(rows))
    return f"{_successes(rows)}/{len(rows)} ({100 * low:.0f}-{100 * high:.0f} %)"


def _successes(rows: Sequence[EpisodeRecord]) -> int:
    return sum(row.success for row in rows)
