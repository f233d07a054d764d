"""The chunks that a driver has accepted, and what they say for the present moment. One executor an episode.

    executor = ChunkExecutor("hold", contract.action)
    flag = executor.accept(chunk, now)      # 'accepted', or why not
    due = executor.action(now)              # due.action is None: hold, due.flag says why

No ROS, no threads, no clock of its own: `now` is the caller's time, ns, the same that the chunks are stamped with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from clad.contract.robot import ActionSpec
from clad.errors import UsageError, unknown_name
from clad.runtime.execution.chunks import Sample, TimedChunk
from clad.runtime.execution.strategies import blend, newest, temporal_ensemble
from clad.runtime.joining import STRATEGIES

AVERAGING = ("temporal_ensemble", "blend")
ENSEMBLE_DECAY = 0.01  # per chunk; ACT's value
BLEND_STEPS = 3
MOST = 64  # chunks kept: more than any horizon holds

# why a chunk was not taken, in words for a person
REFUSALS = {
    "not_finite": "a value is not finite",
    "other_publisher": "another publisher's chunk still acts; if two policies run, stop one",
    "replayed": "its number is not newer than the last one's",
    "out_of_order": "a chunk of a newer observation is already there",
    "future": "its observation was taken later than now; do the clocks agree?",
    "late": "every step's time was over when it arrived",
    "moving": "sync: its observation was taken before the robot had come to rest",
}
# why nothing is executed, in words for a person
HOLDS = {
    "no_chunk": "no chunk has arrived yet",
    "before_start": "the newest chunk has not begun: before_start",
    "past_end": "the newest chunk has no step for now: past_end",
    "expired": "the newest chunk has no step for now: expired",
    "clock_back": "time ran backwards, every chunk is forgotten: clock_back",
}


class ChunkExecutor:
    """Accepts chunks and samples them by one of STRATEGIES.

    execute_steps: sync executes that many steps of a chunk, the others know no such bound; 0: all of them.
    Raises UsageError for an unknown strategy, and for one that averages where actions are poses: the components of a
    quaternion have no mean.
    """

    def __init__(self, strategy: str, spec: ActionSpec, *, execute_steps: int = 0) -> None:
        if strategy not in STRATEGIES:
            raise unknown_name("execution", strategy, STRATEGIES)
        if strategy in AVERAGING and spec.representation == "EE_POSE":
            raise UsageError(f"execution {strategy} cannot average quaternions", "Use sync, hold or rtc for EE_POSE")
        self._sync = strategy == "sync"
        self._execute_steps = execute_steps or None
        self._sample: Callable[[Sequence[TimedChunk], int], Sample] = {
            "temporal_ensemble": partial(temporal_ensemble, gripper_index=spec.gripper_index, decay=ENSEMBLE_DECAY),
            "blend": partial(blend, gripper_index=spec.gripper_index, steps=BLEND_STEPS),
        }.get(strategy, newest)
        self._chunks: list[TimedChunk] = []
        self._newest: TimedChunk | None = None
        self._now = 0
        self.refused: Counter[str] = Counter()  # REFUSALS -> how often

    @property
    def chunks(self) -> tuple[TimedChunk, ...]:
        """Accepted and not yet over, oldest observation first; the newest always."""
        return tuple(self._chunks)

    def accept(self, chunk: TimedChunk, now: int) -> str:
        """Take a chunk that arrived at `now`, ns: 'accepted', or the key of REFUSALS that says why not."""
        self._advance(now)
        reason = self._refusal(chunk, now)
        if reason:
            self.refused[reason] += 1
            return reason
        self._newest = chunk = self._scheduled(chunk, now)
        # a newer chunk of the same observation takes the older one's place
        self._chunks = [c for c in self._chunks if c.obs_stamp != chunk.obs_stamp and c.end > now][1 - MOST :]
        self._chunks.append(chunk)
        return "accepted"

    def action(self, now: int) -> Sample:
        """What to execute at `now`, ns. Never a step before or after its time, nor one of an expired chunk."""
        if self._advance(now):
            return Sample(action=None, flag="clock_back")
        return self._sample(self._chunks, now)

    def _refusal(self, chunk: TimedChunk, now: int) -> str:
        last = self._newest
        if not np.isfinite(chunk.values).all():
            return "not_finite"
        if chunk.obs_stamp > now:
            return "future"
        restarted = last is not None and (
            chunk.publisher != last.publisher or (chunk.seq < last.seq and chunk.obs_stamp > last.obs_stamp)
        )
        if last is not None and not restarted and chunk.seq <= last.seq:
            return "replayed"  # before its age is looked at: an old message again says nothing of the present
        if now >= chunk.end:
            return "late"
        if last is None:
            return ""
        if restarted and now < last.end:
            return "other_publisher"
        if chunk.obs_stamp < last.obs_stamp:
            return "out_of_order"
        if self._sync and chunk.obs_stamp < last.end:
            return "moving"
        return ""

    def _scheduled(self, chunk: TimedChunk, now: int) -> TimedChunk:
        """Sync: the robot has stood still since the observation, so the schedule, expiry included, begins now."""
        if not self._sync:
            return replace(chunk, accepted=now)
        shift = max(now - chunk.start, 0)
        return replace(
            chunk,
            values=chunk.values[: self._execute_steps],
            start=chunk.start + shift,
            valid_until=chunk.valid_until + shift,
            accepted=now,
        )

    def _advance(self, now: int) -> bool:
        """Note the time; True when it ran backwards, and then no chunk has a known place in it any more."""
        back, self._now = now < self._now, now
        if back:
            self._chunks.clear()
            self._newest = None
        return back
