"""What a running graph's messages and processes say about its timing: pure functions of what was seen. No ROS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clad.bench.rows import Row

WARM_UP = 3.0  # s after the first chunk that are left out
LATE = 1.5  # periods between two control steps from which on the second missed its deadline
SHARED_MEMORY = Path("/dev/shm")
STAGES = ("encode", "plan", "policy", "ROS share", "observation to chunk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A foresight: when it was published, s, and what it took, s; plan includes encode."""

    at: float
    encode: float
    plan: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A chunk: when it was published and what the policy took, s; of which observation (stamp, ns) and foresight."""

    at: float
    policy: float
    stamp: int
    foresight: int


@dataclass(slots=True, kw_only=True)
class Seen:
    """All times are s of one clock. period: of control, at which observations and so plans come.

    observed: stamp of each observation, ns -> when it was published. foresights: by number. executed_at: when each
    executed action was published. held: (when, why) of those that came from no chunk. nodes: name -> samples of
    (time, CPU s so far, PSS bytes).
    """

    period: float
    observed: dict[int, float] = field(default_factory=dict)
    foresights: dict[int, Planned] = field(default_factory=dict)
    chunks: list[Made] = field(default_factory=list)
    executed_at: list[float] = field(default_factory=list)
    held: list[tuple[float, str]] = field(default_factory=list)
    nodes: dict[str, list[tuple[float, float, int]]] = field(default_factory=dict)

    @property
    def start(self) -> float:
        """When measuring begins: the graph has warmed up."""
        return self.chunks[0].at + WARM_UP if self.chunks else float("inf")

    def missed(self) -> int:
        """Control steps that came more than LATE periods after the one before."""
        return int((_intervals(self.executed_at, self.start) > LATE * self.period).sum())

    def holds(self) -> Counter[str]:
        """Reason -> control steps that came from no chunk."""
        return Counter(reason for at, reason in self.held if at >= self.start)

    def stages(self) -> dict[str, list[float]]:
        """Name of STAGES -> s, an entry for each chunk whose observation and foresight were seen; plan without encode."""
        found: dict[str, list[float]] = {name: [] for name in STAGES}
        for chunk in self.chunks:
            observed, foresight = self.observed.get(chunk.stamp), self.foresights.get(chunk.foresight)
            if chunk.at < self.start or observed is None or foresight is None:
                continue
            whole = chunk.at - observed
            values = (
                foresight.encode,
                foresight.plan - foresight.encode,
                chunk.policy,
                whole - foresight.plan - chunk.policy,
                whole,
            )
            for name, value in zip(STAGES, values, strict=True):
                found[name].append(value)
        return found


def rows(seen: Seen, floors: dict[str, float], baselines: dict[str, float]) -> list[Row]:
    """Every measure. floors, baselines: name of the row -> ms; see docs/performance.md for what they are."""
    found = []
    planned_at = [foresight.at for foresight in seen.foresights.values()]
    for name, at in (("plan period error", planned_at), ("control period error", seen.executed_at)):
        found.append(_row(name, 1e3 * np.abs(_intervals(at, seen.start) - seen.period), "ms"))
    for name, values in seen.stages().items():
        found.append(_row(name, 1e3 * np.array(values), "ms", floors.get(name), baselines.get(name)))
    for node, samples in seen.nodes.items():
        at, cpu, memory = _since(samples, seen.start)
        found.append(_row(f"CPU {node}", 100 * np.diff(cpu) / np.diff(at), "%"))
        found.append(_row(f"PSS {node}", memory / 2**20, "MiB"))
    return [row for row in found if row is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A straight line through a quantity over time: its slope per hour with the standard error, and n points.

    The error takes the points as independent; where they wander together it is too small, and a longer run tells.
    """

    name: str
    slope: float
    error: float
    n: int
    unit: str

    @property
    def rises(self) -> bool:
        """Whether the slope is more than two standard errors above 0."""
        return self.slope > 2 * self.error

    @property
    def words(self) -> str:
        verdict = "rises" if self.rises else "no rise beyond noise"
        return f"{self.name:<28} {self.slope:+9.3f} +- {self.error:.3f} {self.unit}/h  {verdict} (n={self.n})"


def trends(seen: Seen) -> list[Trend]:
    """Memory of each node, and the age of observations, over the run: what grows in a soak. Nothing below 4 points."""
    series = {f"PSS {node}": (*_since(samples, seen.start)[::2], 2**-20, "MiB") for node, samples in seen.nodes.items()}
    at = np.array(list(seen.observed.values()))
    age = at - np.array(list(seen.observed)) / 1e9
    series["observation age"] = (at[at >= seen.start], age[at >= seen.start], 1e3, "ms")
    return [
        trend(name, at, np.asarray(values) * scale, unit)
        for name, (at, values, scale, unit) in series.items()
        if len(at) > 3
    ]


def trend(name: str, at: np.ndarray, values: np.ndarray, unit: str) -> Trend:
    """Least squares; at in s."""
    from scipy.stats import linregress

    fit = linregress(np.asarray(at) / 3600, values)
    return Trend(name=name, slope=float(fit.slope), error=float(fit.stderr), n=len(at), unit=unit)


def shared_memory_segments(folder: Path = SHARED_MEMORY) -> set[str]:
    """Names of the middleware's shared-memory segments and semaphores that are there now, everybody's."""
    return {f.name for f in folder.glob("*fast*")} if folder.is_dir() else set()


def table(found: Sequence[Row]) -> str:
    """Aligned text, a row a measure."""
    titles = ("measure", "p50", "p99", "unit", "n", "floor", "x floor", "baseline", "x baseline")
    cells = [
        (r.name, _figure(r.p50), _figure(r.p99), r.unit, str(r.n))
        + tuple(map(_figure, (r.floor, r.ratio_to_floor, r.baseline, r.ratio_to_baseline)))
        for r in found
    ]
    widths = [max(len(line[i]) for line in (titles, *cells)) for i in range(len(titles))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in (titles, *cells)
    )


def _row(
    name: str, values: np.ndarray, unit: str, floor: float | None = None, baseline: float | None = None
) -> Row | None:
    if not len(values):
        return None
    p50, p99 = (float(v) for v in np.percentile(values, [50, 99]))
    return Row(
        name=name,
        p50=p50,
        p99=p99,
        n=len(values),
        unit=unit,
        floor=floor,
        ratio_to_floor=p50 / floor if floor else None,
        baseline=baseline,
        ratio_to_baseline=p50 / baseline if baseline else None,
    )


def _intervals(at: Sequence[float], start: float) -> np.ndarray:
    times = np.array(at)
    return np.diff(times[times >= start])


def _since(samples: Sequence[tuple[float, float, int]], start: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kept = np.array([s for s in samples if s[0] >= start]).reshape(-1, 3)
    return kept[:, 0], kept[:, 1], kept[:, 2]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
