"""result.json (schema 1): what users script against. Written anew after every episode, atomically, so it can be resumed.

The file holds rows and what is computed from them; nothing else is kept, so merging and resuming are just more rows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from clad.errors import CladError, UsageError
from clad.eval.episodes import EpisodeSpec
from clad.eval.machine import machine, versions
from clad.eval.schema import ABSENT, SCHEMA, validate
from clad.eval.stats import latency_summary, wilson

# fields that two results must share for their rows to be of one experiment
SETTINGS = (
    *("suite", "protocol", "mode", "visuals", "execution", "model"),
    *("precision", "fused", "sample_steps", "warm_start", "perturbations"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRecord:
    """One row. bag, video: paths relative to result.json, None when there is none. timing: see `episode_timing`.

    safety: what the safety filter did, {'clamped', 'held', 'reasons'}; None where none stood before the robot.
    outcome: 'success' | 'timeout' | 'aborted'. init_index: None for a scene sampled by `seed`.
    """

    suite: str
    task: int
    instruction: str
    init_index: int | None
    seed: int
    success: bool
    outcome: str
    steps: int
    scene_hash: str
    action_hash: str
    state_hash: str
    bag: str | None = None
    video: str | None = None
    timing: Mapping[str, Any] = field(default_factory=dict)
    safety: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, spec: EpisodeSpec, outcome: Any, **more: Any) -> EpisodeRecord:
        """The row of `spec`. outcome: a rollout's or a RunEpisode's result, which name these fields alike."""
        taken = ("instruction", "success", "outcome", "steps", "scene_hash", "action_hash", "state_hash")
        return cls(
            suite=spec.suite,
            task=spec.task,
            init_index=spec.init_index,
            seed=spec.seed,
            **{name: getattr(outcome, name) for name in taken},
            **more,
        )

    @property
    def key(self) -> tuple:
        """What makes this row this row: resuming skips keys that are there."""
        return (self.suite, self.task, -1 if self.init_index is None else self.init_index, self.seed)

    @property
    def content(self) -> tuple:
        """What the episode came to: equal where it repeats."""
        return (self.outcome, self.steps, self.scene_hash, self.action_hash, self.state_hash)


def spec_key(spec: EpisodeSpec) -> tuple:
    """The key that the row of this episode will have."""
    return (spec.suite, spec.task, -1 if spec.init_index is None else spec.init_index, spec.seed)


def episode_timing(
    *,
    encode: Sequence[float],
    plan: Sequence[float],
    policy: Sequence[float],
    render: float,
    physics: float,
    wall: float,
    gl_backend: str | None = None,
    fallbacks: int | None = None,
    chunk_latency: Sequence[float] | None = None,
    ros_share: Sequence[float] | None = None,
    period_error: Sequence[float] | None = None,
    real_time_factor: float | None = None,
    holds: int | None = None,
    recorded_messages: int | None = None,
    dropped_messages: int | None = None,
) -> dict[str, Any]:
    """A row's `timing`: the same keys for every row, None where a measure does not exist.

    encode, plan (encoder included), policy, chunk_latency, ros_share: s, one a chunk; period_error: s, one a period;
    render, physics, wall: s in total. `compute` is observation to chunk: plan plus policy of the same chunk.
    """
    compute = [a + b for a, b in zip(plan, policy, strict=True)]
    latencies = {
        "encode": encode,
        "plan": plan,
        "policy": policy,
        "compute": compute,
        "chunk_latency": chunk_latency,
        "ros_share": ros_share,
        "period_error": period_error,
    }
    return {
        **{name: None if values is None else latency_summary(values) for name, values in latencies.items()},
        "render_s": round(render, 3),
        "physics_s": round(physics, 3),
        "wall_s": round(wall, 3),
        "real_time_factor": None if real_time_factor is None else round(real_time_factor, 3),
        "holds": holds,
        "fallbacks": fallbacks,
        "recorded_messages": recorded_messages,
        "dropped_messages": dropped_messages,
        "gl_backend": gl_backend,
    }


@dataclass(slots=True, kw_only=True)
class EvalResult:
    """A result file in the making. Rows are kept in the order of (suite, task, init_index, seed), however they came.

    model: {'name', 'sha256'}. protocol: 'exact' | 'classic' | 'sampled'. started: ISO 8601, UTC. wall_s: seconds that all
    runs which filled this file took together. precision, fused: of the networks, as the options of that name.
    sample_steps, warm_start: of the sampler, as the options of that name; 0 steps: the model's own number.
    execution: how chunks were joined; sync wherever simulated time waits for them. perturbations: level by name.
    """

    suite: str
    protocol: str
    mode: str
    visuals: str
    model: dict[str, str]
    execution: str = "sync"
    perturbations: dict[str, float] = field(default_factory=dict)
    precision: str = "fp32"
    fused: bool = False
    sample_steps: int = 0
    warm_start: bool = False
    started: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    wall_s: float = 0.0
    machine: dict[str, Any] = field(default_factory=machine)
    versions: dict[str, str] = field(default_factory=versions)
    episodes: list[EpisodeRecord] = field(default_factory=list)

    def add(self, record: EpisodeRecord) -> None:
        """Add a row, or replace the one of the same episode."""
        self.episodes = sorted([r for r in self.episodes if r.key != record.key] + [record], key=lambda r: r.key)

    def has(self, spec: EpisodeSpec) -> bool:
        """Whether this episode has its row already. An aborted one has not: it is run again."""
        return any(r.key == spec_key(spec) and r.outcome != "aborted" for r in self.episodes)

    def merge(self, other: EvalResult) -> None:
        """Take over the other's rows. A row that both have counts once.

        Raises UsageError when the two are of different experiments, or disagree about an episode or the step limit.
        """
        differing = [name for name in SETTINGS if getattr(self, name) != getattr(other, name)]
        if differing:
            what = "; ".join(f"{name} is {getattr(other, name)}, not {getattr(self, name)}" for name in differing)
            raise UsageError(f"results of different experiments cannot be merged: {what}", "Use another --out")
        rows = {row.key: row for row in self.episodes}
        for record in other.episodes:
            known = rows.get(record.key)
            if known is None or known.outcome == "aborted":
                self.add(record)
            elif record.outcome != "aborted" and known.content != record.content:
                raise UsageError(
                    f"task {record.task} with initial state {record.init_index} and seed {record.seed} has a "
                    f"{known.outcome} after {known.steps} steps in one result and a {record.outcome} after "
                    f"{record.steps} in another",
                    "They are of different code, machines or limits: keep them apart",
                )
        # an arm's episode also ends, as a failure, when somebody says so, and its steps are counted by the clock
        limits = {row.steps for row in self.episodes if row.outcome == "timeout" and self.protocol != "robot"}
        if len(limits) > 1:
            raise UsageError(
                f"timeouts after {' and '.join(map(str, sorted(limits)))} steps are of different limits",
                "Merge results with the same --max-steps",
            )
        self.started = min(self.started, other.started)
        self.wall_s += other.wall_s

    def check_limit(self, max_steps: int) -> None:
        """Raises UsageError if a row shows that it was run with another step limit than `max_steps`.

        A success within the limit is the same under both; a timeout has as many steps as its limit.
        """
        for record in self.episodes:
            if record.outcome == "timeout" and record.steps != max_steps or record.success and record.steps > max_steps:
                raise UsageError(
                    f"evaluation state {record.init_index} has a {record.outcome} after {record.steps} steps, which "
                    f"a limit of {max_steps} steps does not give",
                    "Go on with the --max-steps of the first run, or use another --out",
                )

    @property
    def successes(self) -> int:
        """How many rows succeeded."""
        return sum(r.success for r in self.episodes)

    def to_dict(self) -> dict[str, Any]:
        """The file's content, in the published order of fields."""
        n, k = len(self.episodes), self.successes
        return {
            "schema": SCHEMA,
            "n": n,
            "successes": k,
            "success_rate": k / n if n else 0.0,
            "wilson_95": list(wilson(k, n)),
            "suite": self.suite,
            "protocol": self.protocol,
            "mode": self.mode,
            "visuals": self.visuals,
            "execution": self.execution,
            "perturbations": self.perturbations,
            "model": self.model,
            "precision": self.precision,
            "fused": self.fused,
            "sample_steps": self.sample_steps,
            "warm_start": self.warm_start,
            "machine": self.machine,
            "versions": self.versions,
            "started": self.started,
            "wall_s": round(self.wall_s, 3),
            "episodes": [asdict(r) for r in self.episodes],
        }

    def write(self, path: Path) -> None:
        """Replace `path` by the present state in one step: a kill leaves the old file or the new one, never half."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
        os.replace(temporary, path)


def read_result(path: Path) -> EvalResult:
    """A result file read back. Raises CladError when it is missing, damaged or breaks the schema."""
    try:
        body = json.loads(path.read_text())
    except OSError as error:
        raise CladError(f"{path} cannot be read: {error.strerror}", "Give a result.json") from error
    except ValueError as error:
        raise CladError(f"{path} is not JSON ({error})", "Remove it or restore a whole copy") from error
    validate(body, str(path))
    body = {**ABSENT, **({"execution": "hold"} if body["mode"] == "free-run" else {}), **body}
    settings = {name: body[name] for name in (*SETTINGS, "started", "wall_s", "machine", "versions")}
    return EvalResult(**settings, episodes=[EpisodeRecord(**row) for row in body["episodes"]])
