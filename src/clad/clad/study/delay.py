"""The delay study: one episode behind injected latency, in this process. What every strategy makes of late chunks.

Every control step is observed and planned, as in free-run; each chunk acts an injected time later, or never.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from clad.contract import RobotContract, native_to_wire
from clad.errors import UsageError
from clad.eval.episodes import EpisodeSpec
from clad.eval.motion import hold_time, motion_report
from clad.runtime.execution import DelayedExecution, delay_steps
from clad.sim.perturbations import generator

if TYPE_CHECKING:
    from clad.runtime.planner import Planner
    from clad.runtime.policy import Policy
    from clad.sim.libero_env import LiberoEnv

MOST_MS = 10_000.0  # a longer delay than any chunk lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is injected between a chunk's observation and its arrival, and how chunks are joined.

    delay_ms: of every chunk. jitter_ms: added to it, uniform from 0 to this, drawn for each. drop: fraction of chunks lost.
    Raises UsageError for a value that is impossible.
    """

    execution: str
    delay_ms: float
    jitter_ms: float = 0.0
    drop: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("delay", self.delay_ms), ("jitter", self.jitter_ms)):
            if not 0 <= value <= MOST_MS:
                raise UsageError(f"a {name} of {value:g} ms", f"Give 0 to {MOST_MS:g}")
        if not 0 <= self.drop < 1:
            raise UsageError(f"a fraction of {self.drop:g} chunks lost", "Give at least 0 and less than 1")


class Injected:
    """The latencies of one episode's chunks. Functions of seed and condition alone, whatever the strategy."""

    def __init__(self, condition: Condition, seed: int) -> None:
        self._condition = condition
        self._jitter, self._drop = generator(seed, "chunk jitter"), generator(seed, "chunk drop")

    def next_ms(self) -> float | None:
        """Of the next chunk, ms; None: it is lost."""
        c = self._condition
        delay = c.delay_ms + c.jitter_ms * self._jitter.random()
        return None if self._drop.random() < c.drop else delay


def conditions(
    executions: Iterable[str], delays_ms: Sequence[float], *, jitter_ms: float, drop: float
) -> list[Condition]:
    """Every strategy at every delay."""
    return [
        Condition(execution=e, delay_ms=d, jitter_ms=jitter_ms, drop=drop)
        for e in dict.fromkeys(executions)
        for d in dict.fromkeys(delays_ms)
    ]


def run_delayed(
    env: LiberoEnv,
    planner: Planner,
    policy: Policy,
    spec: EpisodeSpec,
    condition: Condition,
    *,
    execute_steps: int,
    max_steps: int,
) -> dict:
    """One episode in the scene that spec.seed samples; its row (see `row`). Repeats exactly."""
    env.reset_sampled(spec.seed)
    planner.reset(env.instruction, spec.seed)
    rate = env.contract.control_rate
    execution = DelayedExecution(env.contract, condition.execution, execute_steps=execute_steps)
    injected = Injected(condition, spec.seed)
    actions, numbers, reasons, planned = [], [], [], []
    done = False
    while not done and len(actions) < max_steps:
        step = len(actions)
        # planned although sync does not want it: the planner's history has every observation, as in the graph
        foresight = planner.plan(env.observe())
        if execution.wants_plan(step):
            chunk = policy.act(foresight, **execution.past(step))
            late = injected.next_ms()
            execution.submit(chunk, delay=None if late is None else delay_steps(late / 1000, rate))
            planned.append(chunk.values)
        action, due = execution.action(step)
        planner.executed(step, action)
        actions.append(action)
        numbers.append(0 if due.action is None else due.seq)
        reasons.append(due.flag if due.action is None else "")
        done = env.step(action).done
    return row(
        spec, condition, env.contract, success=done, actions=actions, chunks=numbers, reasons=reasons, planned=planned
    )


def row(
    spec: EpisodeSpec,
    condition: Condition,
    contract: RobotContract,
    *,
    success: bool,
    actions: Sequence[np.ndarray],
    chunks: Sequence[int],
    reasons: Sequence[str],
    planned: Sequence[np.ndarray],
) -> dict:
    """One episode as plain data. actions: (T, N) native; chunks, reasons: (T,) as in clad.eval.motion; planned: (H, N) wire.

    motion: `motion_report`'s figures, None where nothing was joined. hold_s: seconds held, by reason.
    """
    period = contract.control_period
    report = motion_report(native_to_wire(np.array(actions), contract.action), chunks, planned, contract.action, period)
    return {
        **asdict(condition),
        "suite": spec.suite,
        "task": spec.task,
        "seed": spec.seed,
        "success": bool(success),
        "steps": len(actions),
        "chunks": len(planned),
        "hold_s": {k: round(v, 6) for k, v in hold_time(reasons, period).items()},
        "held_share": sum(map(bool, reasons)) / max(len(reasons), 1),
        "motion": {k: v if math.isfinite(v) else None for k, v in report.items()},
    }
