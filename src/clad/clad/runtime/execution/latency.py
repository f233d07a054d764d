"""How long chunks take, from stamps: what has been measured of late, without the slow first ones."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

WARM_UP = 3  # measurements left out at the start: caches, threads and discovery are still cold
HALF_LIFE = 50  # measurements until one counts half: two seconds at 25 Hz
MOST = 500  # measurements kept; the oldest of them counts 1/1024

# capture -> plan: the foresight is there. -> chunk: the chunk is published. -> execution: its first step acts.
STAGES = ("plan", "chunk", "execution", "total")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Quantiles in ns over `n` measurements after warm-up, the newest of which weigh most."""

    p50: int
    p95: int
    n: int

    @property
    def text(self) -> str:
        """For /diagnostics: 'p50 / p95', ms."""
        return f"{self.p50 / 1e6:.1f} / {self.p95 / 1e6:.1f}"


class Decaying:
    """Quantiles of a quantity that drifts: a measurement's weight halves with every `half_life` that follow it."""

    def __init__(self, *, warm_up: int = WARM_UP, half_life: float = HALF_LIFE) -> None:
        self._skip, self._decay = warm_up, 0.5 ** (1.0 / half_life)
        self._values: deque[int] = deque(maxlen=MOST)

    def add(self, value: int) -> None:
        """One measurement, ns; the first `warm_up` are left out."""
        if self._skip:
            self._skip -= 1
        else:
            self._values.append(value)

    @property
    def estimate(self) -> Estimate | None:
        """None during warm-up."""
        if not self._values:
            return None
        values = np.fromiter(self._values, dtype=np.int64)
        weights = self._decay ** np.arange(len(values))[::-1]
        order = np.argsort(values)
        reached = np.cumsum(weights[order])
        # the least value at which the weights up to it make the share q of all; the factor forgives rounding
        p50, p95 = (int(values[order[np.searchsorted(reached, q * reached[-1] * (1 - 1e-12))]]) for q in (0.5, 0.95))
        return Estimate(p50=p50, p95=p95, n=len(values))


class LatencyModel:
    """Latency of each of STAGES in one clock's time, ns; that clock is ROS time, in which chunks are stamped."""

    def __init__(self, *, warm_up: int = WARM_UP, half_life: float = HALF_LIFE) -> None:
        self._stages = {stage: Decaying(warm_up=warm_up, half_life=half_life) for stage in STAGES}

    def note(self, stage: str, latency: int) -> None:
        """One measurement of a stage, ns. A negative one (clocks that disagree, a jump) says nothing and is left out."""
        if latency >= 0:
            self._stages[stage].add(latency)

    def estimate(self, stage: str = "total") -> Estimate | None:
        """None until the stage has been measured after warm-up."""
        return self._stages[stage].estimate

    def steps(self, step_dt: int) -> int:
        """Control steps of `step_dt` ns that pass between an observation and its chunk's first step, at p95; 0 unknown."""
        total = self.estimate()
        return 0 if total is None else -(-total.p95 // step_dt)

    def values(self) -> dict[str, str]:
        """For /diagnostics: latency_STAGE_ms = 'p50 / p95' of every stage that is known."""
        known = {stage: self.estimate(stage) for stage in STAGES}
        return {f"latency_{stage}_ms": e.text for stage, e in known.items() if e is not None}


class ChunkStamps:
    """Joins what is known of one chunk at different times, in whatever order, and notes its stages once."""

    def __init__(self, model: LatencyModel) -> None:
        self._model = model
        self._waiting: dict[int, tuple[int, int]] = {}  # seq -> capture and publication of chunks that have not acted

    def published(self, seq: int, *, captured: int, arrived: int, now: int) -> None:
        """Chunk `seq` goes out `now`; its foresight, of the observation captured then, arrived at `arrived`. All ns."""
        self._model.note("plan", arrived - captured)
        self._model.note("chunk", now - arrived)
        self._waiting[seq] = captured, now

    def executed(self, seq: int, stamp: int) -> None:
        """An action of chunk `seq` began to act at `stamp`, ns; only the first of a chunk counts."""
        if seq in self._waiting:
            captured, published = self._waiting[seq]
            self._model.note("execution", stamp - published)
            self._model.note("total", stamp - captured)
            self._waiting = {s: t for s, t in self._waiting.items() if s > seq}  # older ones were overtaken
        elif len(self._waiting) > MOST:  # nobody executes them
            self._waiting.clear()
