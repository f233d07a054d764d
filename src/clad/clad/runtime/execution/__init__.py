"""When and how the steps of action chunks are executed; see docs/execution.md."""

from clad.runtime.execution.chunks import Sample, TimedChunk, sample
from clad.runtime.execution.executor import HOLDS, REFUSALS, STRATEGIES, ChunkExecutor

__all__ = ["HOLDS", "REFUSALS", "STRATEGIES", "ChunkExecutor", "Sample", "TimedChunk", "sample"]
