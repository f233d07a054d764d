"""Figures of an episode from its messages, one by one: the same code live and from a bag, so with the same result.

Nothing here depends on how messages of different topics interleave, nor on when they were received: a subscriber and a
recorder differ in both. `published` is the sender's own stamp, which all agree on.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np

from clad.bag.figures import EpisodeFigures, EpisodeSeries
from clad.bag.kept import Action, Foreseen, Planned
from clad.contract import RobotContract, native_to_wire
from clad.eval.foresight import cosine, pairs, proprio_errors
from clad.eval.motion import hold_time, motion_report
from clad.eval.stats import latency_summary
from clad.eval.timing import ChunkTimes, missing_numbers, regularity, stages
from clad.stamps import SECOND, seconds, to_ns

EPISODE, EXECUTED_ACTION = "/episode", "/executed_action"
LATENT_FORESIGHT, ACTION_CHUNK = "/latent_foresight", "/action_chunk"
JOINT_STATES = "/joint_states"  # published with each observation, under its stamp
TOPICS = (EPISODE, EXECUTED_ACTION, LATENT_FORESIGHT, ACTION_CHUNK, JOINT_STATES)

OUTCOMES = {1: "cut off", 2: "success", 3: "timeout", 4: "aborted"}  # EpisodeStatus.phase
RUNNING = 1
_SOURCE_CHUNK, _SOURCE_HOLD = 1, 2  # ExecutedAction.source
_Numbered = TypeVar("_Numbered", Foreseen, Planned)


class EpisodeMeter:
    """Takes the messages of one episode, in the order of their topics; `figures` and `series` may be asked at any time.

    Messages of another episode are ignored. Observations have no number: any may be fed, those of other stamps play no part.
    """

    def __init__(self, contract: RobotContract, episode: int) -> None:
        self.episode = episode
        self._contract = contract
        self._statuses: list[tuple[int, Any]] = []
        self._actions: dict[int, Action] = {}  # by step: the bridge repeats what may have got lost
        self._foresights: list[Foreseen] = []
        self._chunks: list[Planned] = []
        self._observed: dict[int, list[int]] = {}  # stamp -> published, of every time that it was sent

    def feed(self, topic: str, published: int, message: Any) -> None:
        """One message of TOPICS; others are ignored. published: the sender's stamp, ns of wall time."""
        if topic == JOINT_STATES:
            self._observed.setdefault(to_ns(message.header.stamp), []).append(published)
        elif topic in TOPICS and message.episode == self.episode:
            if topic == EPISODE:
                self._statuses.append((published, message))
            elif topic == EXECUTED_ACTION:
                if message.step not in self._actions or published < self._actions[message.step].published:
                    self._actions[message.step] = Action.of(published, message)
            elif topic == LATENT_FORESIGHT:
                self._foresights.append(Foreseen.of(published, message))
            else:
                self._chunks.append(Planned.of(published, message))

    @property
    def start(self) -> int | None:
        """Stamp of the first observation, ns; None while nobody has told."""
        return to_ns(self._statuses[-1][1].header.stamp) if self._statuses else None

    @property
    def over(self) -> bool:
        """Whether the outcome is known and every action up to it is here: nothing that comes now changes a figure.

        But for foresights and chunks that are under way; give them a moment.
        """
        status = self._status()
        return status is not None and status.phase > RUNNING and len(self._actions) >= status.steps

    @property
    def is_echo(self) -> bool:
        """Whether all that was heard is how it ended: the latched word on the episode before a recording began."""
        heard = self._actions or self._foresights or self._chunks
        return not heard and all(status.phase > RUNNING for _, status in self._statuses)

    def figures(self) -> EpisodeFigures:
        """All that the messages so far say."""
        status, actions = self._status(), self._executed()
        foresights, chunks = self._before_end(self._foresights), self._before_end(self._chunks)
        moments = self._moments(actions)
        clamps = [a for a in actions if a.source == _SOURCE_CHUNK and a.reason]
        holds = hold_time([_hold_reason(a) for a in actions], self._contract.control_period)
        series = self.series()
        told = {} if status is None else self._told(status)
        return EpisodeFigures(
            episode=self.episode,
            **told,
            planner=foresights[-1].model if foresights else None,
            policy=chunks[-1].model if chunks else None,
            steps=len(actions),
            foresights=len(foresights),
            chunks=len(chunks),
            duration_s=seconds(actions[-1].stamp - actions[0].stamp + self._period) if actions else None,
            wall_s=seconds(max(moments) - min(moments)) if moments else None,
            motion=self._motion(actions, chunks),
            observation_age=latency_summary(series.age[1]) if len(series.age[1]) else None,
            latency={name: latency_summary(values) for name, values in series.latency.items()},
            period=self._regularity(actions, foresights) if told.get("mode") == "free-run" else None,
            foresight=_foresight_figures(series.foresight),
            held_s=round(sum(holds.values()), 6),
            hold_s={reason: round(held, 6) for reason, held in holds.items()},
            clamped_steps=len(clamps),
            clamps=_count(reason for a in clamps for reason in a.reason.rpartition(": ")[2].split(", ")),
            lost={
                "foresights": missing_numbers([f.seq for f in foresights]),
                "chunks": missing_numbers([c.seq for c in chunks]),
                "actions": missing_numbers([-1, *(a.step for a in actions)]),
            },
        )

    def series(self) -> EpisodeSeries:
        """What the figures were computed from, for plots."""
        actions, chunks = self._executed(), self._before_end(self._chunks)
        start = self.start
        if start is None:
            start = actions[0].stamp if actions else 0
        by_chunk = {c.seq: c for c in chunks}
        aged = [a for a in actions if a.chunk in by_chunk]
        times = np.array([seconds(a.stamp - start) for a in aged])
        ages = np.array([seconds(a.stamp - by_chunk[a.chunk].observed) for a in aged])
        return EpisodeSeries(
            latency=self._latencies(actions, chunks),
            age=(times, ages),
            holds=_holds(actions, start, self._period),
            foresight=self._foresight_errors(start),
        )

    # --- internals

    @property
    def _period(self) -> int:
        return round(self._contract.control_period * SECOND)

    def _status(self) -> Any | None:
        """The last word on the episode; an outcome may be corrected."""
        return max(self._statuses, key=lambda told: (told[1].phase > RUNNING, told[0]))[1] if self._statuses else None

    def _executed(self) -> list[Action]:
        return [self._actions[step] for step in sorted(self._actions)]

    def _before_end(self, messages: list[_Numbered]) -> list[_Numbered]:
        """In the order published, and only what was published before the outcome: what is under way then moves nothing."""
        ends = [published for published, status in self._statuses if status.phase > RUNNING]
        end = min(ends, default=math.inf)
        return sorted((m for m in messages if m.published < end), key=lambda m: (m.published, m.seq))

    def _moments(self, actions: list[Action]) -> list[int]:
        """When the episode was alive: wall ns of its actions and of what was said of it, up to the first outcome."""
        told = sorted((status.phase > RUNNING, published) for published, status in self._statuses)
        running = [published for over, published in told if not over]
        return running + [published for over, published in told if over][:1] + [a.published for a in actions]

    @staticmethod
    def _told(status: Any) -> dict[str, Any]:
        names = ("suite", "task", "instruction", "init_index", "seed", "protocol", "mode", "visuals", "reason")
        outcome = OUTCOMES.get(status.phase)
        success = None if outcome in (None, "cut off", "aborted") else outcome == "success"
        hashes = {name: getattr(status, name) or None for name in ("scene_hash", "action_hash")}
        return {name: getattr(status, name) for name in names} | hashes | {"outcome": outcome, "success": success}

    def _motion(self, actions: list[Action], chunks: list[Planned]) -> dict[str, float | None]:
        """None where nothing was joined; nothing at all when actions are not of the contract's length."""
        spec = self._contract.action
        width = len(spec.names)
        if not actions or any(len(a.values) != width for a in actions):
            return {}
        executed = native_to_wire(np.array([a.values for a in actions]), spec)
        planned = [c.values for c in chunks if c.values is not None and c.values.shape[1] == width]
        report = motion_report(executed, [a.chunk for a in actions], planned, spec, self._contract.control_period)
        return {name: value if math.isfinite(value) else None for name, value in report.items()}

    def _latencies(self, actions: list[Action], chunks: list[Planned]) -> dict[str, np.ndarray]:
        """Of every chunk whose foresight is here. Name -> s, sorted by the chunk's publication."""
        foresights = {(f.seq, f.stamp): f for f in self._before_end(self._foresights)}
        first_use: dict[int, int] = {}
        for action in actions:
            if action.chunk:
                first_use[action.chunk] = min(action.published, first_use.get(action.chunk, action.published))
        status = self._status()
        on_wall_clock = status is not None and status.protocol == "robot"  # simulated stamps say nothing of wall time
        found: dict[str, list[float]] = {}
        for chunk in chunks:
            foresight = foresights.get((chunk.foresight, chunk.observed))
            if foresight is None:
                continue
            times = ChunkTimes(
                captured=foresight.stamp if on_wall_clock else 0,
                observed=self._observed_before(foresight),
                foresight=foresight.published,
                chunk=chunk.published,
                executed=first_use.get(chunk.seq, 0),
                encode=foresight.encode,
                plan=foresight.plan,
                policy=chunk.policy,
            )
            values = stages(times) | {"plan": times.plan, "compute": times.plan + times.policy}
            if times.observed and times.executed:
                values["total"] = seconds(times.executed - times.observed)
            for name, value in values.items():
                found.setdefault(name, []).append(value)
        return {name: np.array(found[name]) for name in sorted(found)}

    def _observed_before(self, foresight: Foreseen) -> int:
        """When its observation was last sent before it, 0 if never: a simulator that is started again repeats its stamps."""
        sent = self._observed.get(foresight.stamp, ())
        return max((published for published in sent if published <= foresight.published), default=0)

    def _regularity(self, actions: list[Action], foresights: list[Foreseen]) -> dict[str, dict]:
        """Free-run: of consecutive control steps, and of foresights, which are due as often as their observations were."""
        following = [(a, b) for a, b in zip(actions, actions[1:]) if b.step == a.step + 1]
        steps = np.array([seconds(b.published - a.published) for a, b in following])
        found = {"control": regularity(steps, self._contract.control_period)}
        if len(foresights) > 1:
            between = np.diff([f.published for f in foresights]) / SECOND
            captured = np.diff([f.stamp for f in foresights]) / SECOND
            found["foresight"] = regularity(between, float(np.median(captured)))
        return {name: asdict(value) for name, value in found.items() if value is not None}

    def _foresight_errors(self, start: int) -> dict[str, np.ndarray]:
        """Of each foresight whose future was seen: cosine, cosine_persistence, FIELD, FIELD_persistence."""
        rows = {f.stamp: f for f in reversed(self._before_end(self._foresights))}  # of one observation the first
        seen = [rows[stamp] for stamp in sorted(rows)]
        stamps, horizons = (np.array([getattr(f, n) for f in seen], dtype=np.int64) for n in ("stamp", "horizon"))
        together = [(seen[i], seen[j]) for i, j in pairs(stamps, horizons, self._period // 2)]
        if not together:
            return {}
        found = {"time": np.array([seconds(b.stamp - start) for _, b in together])}
        scene = _columns(together, "semantic_predicted", "semantic")
        if scene is not None:
            predicted, now, then = scene
            found |= {"cosine": cosine(predicted, then), "cosine_persistence": cosine(now, then)}
        proprio = _columns(together, "proprio_predicted", "proprio")
        if proprio is not None:
            predicted, now, then = proprio
            found |= proprio_errors(predicted, then)
            found |= {f"{name}_persistence": error for name, error in proprio_errors(now, then).items()}
        return found if len(found) > 1 else {}


def _columns(together: list[tuple], predicted: str, seen: str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(predicted at t, seen at t, seen at t + tau), each (n, D); None unless all have one length above 0."""
    columns = (
        [getattr(a, predicted) for a, _ in together],
        [getattr(a, seen) for a, _ in together],
        [getattr(b, seen) for _, b in together],
    )
    lengths = {len(row) for column in columns for row in column}
    return tuple(np.stack(column) for column in columns) if len(lengths) == 1 and lengths != {0} else None


def _foresight_figures(errors: dict[str, np.ndarray]) -> dict[str, float | int | None] | None:
    """n, and of every error the median and the 99th (for a cosine the first) percentile; None where there is none."""
    if not errors:
        return None
    found: dict[str, float | int | None] = {"n": len(errors["time"])}
    for name, values in errors.items():
        finite = values[np.isfinite(values)]
        worst = 1 if name.startswith("cosine") else 99
        for q in (50, worst):
            found[f"{name}_p{q}"] = float(np.percentile(finite, q)) if len(finite) else None
    return {name: value for name, value in found.items() if not name.startswith("time_")}


def _hold_reason(action: Action) -> str:
    return (action.reason or "no reason given") if action.source == _SOURCE_HOLD else ""


def _holds(actions: list[Action], start: int, period: int) -> list[tuple[float, float, str]]:
    """Runs of steps held for one reason: (from, to, reason), s."""
    found: list[tuple[float, float, str]] = []
    last = None
    for action in actions:
        reason = _hold_reason(action)
        begin, end = seconds(action.stamp - start), seconds(action.stamp - start + period)
        if reason and found and last == (action.step - 1, reason):
            found[-1] = (found[-1][0], end, reason)
        elif reason:
            found.append((begin, end, reason))
        last = (action.step, reason)
    return found


def _count(names) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found
