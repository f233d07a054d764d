"""Chunks that act late, in a loop without ROS and without waiting: for studies of latency and of strategies."""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np

from clad.contract import RobotContract, hold_action, wire_to_native
from clad.runtime.execution.chunks import Sample, TimedChunk
from clad.runtime.execution.executor import ChunkExecutor
from clad.runtime.execution.latency import LatencyModel
from clad.runtime.execution.rtc import Committed, Continuation
from clad.runtime.types import Chunk
from clad.stamps import SECOND

ROUNDING = 1e-9  # of a control step: 0.15 s at 20 Hz are 3 steps, though the product is 3.0000000000000004


class Past(TypedDict):
    """Keyword arguments of `Policy.act`."""

    committed: Committed | None
    previous: Chunk | None


def delay_steps(delay: float, control_rate: float) -> int:
    """A latency in control steps, rounded up: a chunk cannot act within a step. delay: s; control_rate: Hz."""
    return math.ceil(delay * control_rate - ROUNDING)


class DelayedExecution:
    """One episode's executor behind a latency of whole control steps: what the free-running graph does, repeatably.

        execution = DelayedExecution(env.contract, "blend", execute_steps=6)
        while not done and log.steps < max_steps:
            if execution.wants_plan(log.steps):
                chunk = policy.act(planner.plan(env.observe()), **execution.past(log.steps))
                execution.submit(chunk, delay=4)  # an integer; None: this chunk is lost
            action, due = execution.action(log.steps)  # native; due.flag says why it holds, 'ok' when a chunk acts
            planner.executed(log.steps, action)
            ...

    delay d: a chunk made from the observation at step s may act from step s + d on. `every`: control steps from one
    plan to the next; sync asks when the robot has come to rest instead. With delay 0, every = execute_steps and 'hold'
    or 'sync' the actions are those of the loop without it.
    """

    def __init__(self, contract: RobotContract, strategy: str, *, execute_steps: int = 0, every: int = 1) -> None:
        self._contract = contract
        self._sync, self._rtc, self._every = strategy == "sync", strategy == "rtc", every
        self.executor = ChunkExecutor(strategy, contract.action, execute_steps=execute_steps)
        self._dt = round(SECOND / contract.control_rate)
        self._latency = LatencyModel(warm_up=0)  # in control steps nothing starts cold
        self._continuation = Continuation(self._dt, self._latency)
        self._coming: list[tuple[int, TimedChunk]] = []  # (step of arrival, chunk)
        self._unseen: dict[int, int] = {}  # seq -> step of its observation, of chunks that have not acted yet
        self._seq = 0
        self._gripper = -1.0

    def wants_plan(self, step: int) -> bool:
        """Whether the observation at `step` is to be planned. Sync: only at rest, and one plan at a time."""
        if not self._sync:
            return step % self._every == 0
        self._arrive(step)
        return not self._coming and self.executor.action(step * self._dt).action is None

    def past(self, step: int) -> Past:
        """What `Policy.act` may be told besides the foresight of `step`. committed: what acts from then on; only for rtc."""
        committed = self._continuation.committed(0, step) if self._rtc else None
        return {"committed": committed, "previous": self._continuation.previous(0, step)}

    def submit(self, chunk: Chunk, *, delay: int | None) -> None:
        """Hand over a chunk made from the observation of `chunk.step`; it arrives `delay` control steps later."""
        self._seq += 1
        self._continuation.made(0, chunk)
        if delay is None:
            return
        start = chunk.step * self._dt
        timed = TimedChunk(
            values=chunk.values,
            start=start,
            step_dt=self._dt,
            valid_until=start + len(chunk.values) * self._dt,
            obs_stamp=start,
            seq=self._seq,
        )
        self._coming.append((chunk.step + delay, timed))
        self._unseen[self._seq] = chunk.step

    def action(self, step: int) -> tuple[np.ndarray, Sample]:
        """The native action (N,) of control step `step` and where it comes from; a hold keeps the gripper."""
        self._arrive(step)
        due = self.executor.action(step * self._dt)
        spec = self._contract.action
        if due.action is None:
            return hold_action(spec, self._gripper), due
        if due.seq in self._unseen:
            self._latency.note("total", (step - self._unseen.pop(due.seq)) * self._dt)
        action = wire_to_native(due.action, spec)
        self._gripper = action[spec.gripper_index]
        return action, due

    def _arrive(self, step: int) -> None:
        for arrival, chunk in sorted((c for c in self._coming if c[0] <= step), key=lambda c: (c[0], c[1].seq)):
            self.executor.accept(chunk, arrival * self._dt)
        self._coming = [c for c in self._coming if c[0] > step]
