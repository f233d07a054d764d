"""What `clad bench` measures: each part of a decision, beside the time that reading its weights alone takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

Call = Callable[[], object]
LARGEST_BUFFER = 256 << 20  # bytes; beyond the last cache, a larger one reads no slower
BANDWIDTH_RUNS = 7  # the best counts; it is measured before and after each row


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One thing to measure.

    weights: bytes of its networks. reads: bytes of weights that it must read, more when one network runs many times.
    baseline: the same in torch eager, or None.
    """

    name: str
    call: Call
    weights: int
    reads: int
    baseline: Call | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measure as in the JSON file. floor and baseline in `unit`; None where there is nothing to compare with."""

    name: str
    p50: float
    p99: float
    n: int
    unit: str
    floor: float | None
    ratio_to_floor: float | None
    baseline: float | None
    ratio_to_baseline: float | None

    def to_json(self) -> dict:
        return asdict(self)


def run(measures: Sequence[Measure], n: int, bandwidth: Callable[[int], float]) -> list[Row]:
    """Each measure n times after one warm-up, the baseline right after it every time.

    Taking turns is what lets the ratio hold on a machine with other work: both meet the same load. bandwidth: bytes a
    second at which a working set of so many bytes can be read, measured again and again; the best of each size counts.
    """
    fastest: dict[int, float] = {}
    samples = []
    for measure in measures:
        buffer = min(measure.weights, LARGEST_BUFFER)
        calls = [measure.call, *([measure.baseline] if measure.baseline else [])]
        fastest[buffer] = max(fastest.get(buffer, 0.0), bandwidth(buffer))
        for call in calls:
            call()
        samples.append(np.array([[_timed(call) for call in calls] for _ in range(n)]))
        fastest[buffer] = max(fastest[buffer], bandwidth(buffer))
    return [
        _row(m.name, 1e3 * seconds, 1e3 * m.reads / fastest[min(m.weights, LARGEST_BUFFER)])
        for m, seconds in zip(measures, samples, strict=True)
    ]


def cpu_bandwidth(working_set: int) -> float:
    """Bytes a second at which one thread reads so many bytes again and again: from a cache if they fit in one."""
    values = np.ones(max(1, working_set // 8), dtype=np.int64)
    return values.nbytes / min(_timed(values.sum) for _ in range(BANDWIDTH_RUNS))


def cuda_bandwidth(working_set: int) -> float:
    """Bytes a second that the GPU's memory moves in a copy, reads and writes counted."""
    import torch

    values = torch.ones(LARGEST_BUFFER, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(values)

    def copy() -> None:
        target.copy_(values)
        torch.cuda.synchronize()

    return 2 * LARGEST_BUFFER / min(_timed(copy) for _ in range(BANDWIDTH_RUNS))


def weight_bytes(file: Path) -> int:
    """Bytes of a network's weights: of its file and, if they lie beside it, of its data file."""
    data = file.with_name(f"{file.name}.data")
    return sum(f.stat().st_size for f in (file, data) if f.is_file())


def table(rows: Sequence[Row], anchors: dict[str, str]) -> str:
    """Aligned text, a row a measure; anchors: name -> the paper's figure, for a column of its own when there are any."""
    titles = ["measure", "p50 ms", "p99 ms", "n", "floor ms", "x floor", "torch ms", "x torch"]
    cells = [
        [r.name, *map(_figure, (r.p50, r.p99)), str(r.n), *map(_figure, (r.floor, r.ratio_to_floor)),
         *map(_figure, (r.baseline, r.ratio_to_baseline))]
        for r in rows
    ]  # fmt: skip
    if anchors:
        titles.append("the paper's")
        cells = [[*row, anchors.get(row[0], "-")] for row in cells]
    widths = [max(len(line[i]) for line in (titles, *cells)) for i in range(len(titles))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in (titles, *cells)
    )


def _row(name: str, ms: np.ndarray, floor: float) -> Row:
    """ms: (n, 1 or 2), measured and baseline."""
    p50, p99 = np.percentile(ms[:, 0], [50, 99])
    baseline = float(np.median(ms[:, 1])) if ms.shape[1] == 2 else None
    return Row(
        name=name,
        p50=float(p50),
        p99=float(p99),
        n=len(ms),
        unit="ms",
        floor=floor,
        ratio_to_floor=float(p50 / floor),
        baseline=baseline,
        ratio_to_baseline=None if baseline is None else float(p50 / baseline),
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _timed(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
