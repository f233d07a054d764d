"""What one episode came to, in figures: `EpisodeFigures` for tables, `EpisodeSeries` for plots (docs/metrics.md)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

Summary = dict[str, float | int | None]  # of clad.eval.stats.latency_summary, ms


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFigures:
    """Plain data: `asdict` gives JSON. None, or a name that is not there: the recording does not say.

    episode: EpisodeStatus.episode. condition: of a campaign, by the recording's metadata; not known live.
    outcome: success | timeout | aborted | cut off (it was still running). success: None of the last two, which do not count.
    planner, policy: model ids. steps: actions executed. duration_s: ROS time, first to last of them. wall_s: wall time.
    motion: `clad.eval.motion.motion_report`. observation_age: at each step that a chunk acted on. latency: encode, plan,
    policy, compute (plan + policy), total (observation out to first action) and `clad.eval.timing.STAGES`.
    period: control and foresight, {target, error, missed}; None in lock-step. foresight: error at t + tau, see docs.
    held_s: seconds without an action to execute, in all; hold_s: by reason. clamped_steps: changed by the safety filter; clamps: steps by reason. lost: numbers never seen.
    """

    episode: int
    condition: str | None = None
    suite: str | None = None
    task: int | None = None
    instruction: str | None = None
    init_index: int | None = None
    seed: int | None = None
    protocol: str | None = None
    mode: str | None = None
    visuals: str | None = None
    planner: str | None = None
    policy: str | None = None
    outcome: str | None = None
    success: bool | None = None
    reason: str | None = None
    scene_hash: str | None = None
    action_hash: str | None = None
    steps: int = 0
    foresights: int = 0
    chunks: int = 0
    duration_s: float | None = None
    wall_s: float | None = None
    motion: dict[str, float | None] = field(default_factory=dict)
    observation_age: Summary | None = None
    latency: dict[str, Summary] = field(default_factory=dict)
    period: dict[str, dict[str, Any]] | None = None
    foresight: dict[str, float | int | None] | None = None
    held_s: float = 0.0
    hold_s: dict[str, float] = field(default_factory=dict)
    clamped_steps: int = 0
    clamps: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str | None, int | None, int | None, int | None]:
        """What pairs two episodes of different recordings: (suite, task, init_index, seed)."""
        return self.suite, self.task, self.init_index, self.seed

    def flat(self) -> dict[str, Any]:
        """Every figure by its dotted name, e.g. latency.plan.p50_ms, but for those by reason."""
        body = asdict(self)
        return dict(_leaves({name: value for name, value in body.items() if name not in ("hold_s", "clamps")}))


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeSeries:
    """What the plots show. Times are s since the episode's first observation, of ROS time.

    latency: name -> s, one a chunk. age: (step's time, s). holds: (from, to, reason).
    foresight: name -> (n,), with `time` that of the observation at t + tau; NaN where it does not exist.
    """

    latency: dict[str, np.ndarray]
    age: tuple[np.ndarray, np.ndarray]
    holds: list[tuple[float, float, str]]
    foresight: dict[str, np.ndarray]


def _leaves(body: dict[str, Any], prefix: str = ""):
    for name, value in body.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
