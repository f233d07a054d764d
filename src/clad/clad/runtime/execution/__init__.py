"""When and how the steps of action chunks are executed; see docs/execution.md."""

from clad.runtime.execution.chunks import Sample, TimedChunk, sample
from clad.runtime.execution.delayed import DelayedExecution, delay_steps
from clad.runtime.execution.executor import HOLDS, REFUSALS, ChunkExecutor
from clad.runtime.execution.latency import ChunkStamps, Decaying, LatencyModel
from clad.runtime.execution.rtc import Committed, Continuation
from clad.runtime.joining import STRATEGIES

__all__ = [
    "HOLDS",
    "REFUSALS",
    "STRATEGIES",
    "ChunkExecutor",
    "ChunkStamps",
    "Committed",
    "Continuation",
    "Decaying",
    "DelayedExecution",
    "LatencyModel",
    "Sample",
    "TimedChunk",
    "delay_steps",
    "sample",
]
