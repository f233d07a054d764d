"""Trying the experts out: episodes as `clad demos` has them, noise and mishaps included, but without pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from clad.eval.stats import wilson
from clad.sim.expert.tasks import Outcome, run_expert, script_for
from clad.sim.libero_env import LiberoEnv

TRIAL_SEEDS = range(500, 1000)  # of the scenes to try things on: demonstrations begin at 1000


def try_expert(suite: str, task: int, seeds: Iterable[int]) -> Iterator[Outcome]:
    """The expert's outcomes on the sampled scenes of `seeds`, one by one. Raises UsageError for a task without one."""
    script_for(suite, task)
    with LiberoEnv(suite, task, visuals="fast", image_size=16) as env:  # a reset draws a picture: a cheap one
        for seed in seeds:
            env.reset_sampled(seed)
            yield run_expert(env, seed)


def table(outcomes: dict[tuple[str, int], list[Outcome]]) -> str:
    """Markdown: a row for each (suite, task) with success, Wilson 95 % interval, mean steps of successes, failures."""
    lines = ["| suite | task | success | interval | steps | failures |", "|---|---|---|---|---|---|"]
    for (suite, task), tried in outcomes.items():
        steps = [outcome.steps for outcome in tried if outcome.success]
        low, high = (f"{100 * bound:.1f}" for bound in wilson(len(steps), len(tried)))
        mean = f"{np.mean(steps):.0f}" if steps else "-"
        failures = ", ".join(sorted(outcome.reason for outcome in tried if not outcome.success)) or "-"
        lines.append(f"| {suite} | {task} | {len(steps)}/{len(tried)} | {low}-{high} % | {mean} | {failures} |")
    return "\n".join(lines)
