"""How smoothly chunks were joined: pure functions of what was executed, with equal values live and from a bag.

`steps` (T, D) is what each control step commands the robot to move by, in SI units (see `commanded_steps`). Columns of
one array have one unit: metres and radians have no common norm (see `groups`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from clad.contract.robot import ActionSpec

DELTAS = ("JOINT_DELTA", "OSC_POSE_DELTA")
ABSOLUTE = ("JOINT_POSITION", "EE_POSE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Jumps:
    """One entry a place. position: |move| of the step there (m or rad). velocity: |change of velocity| (per second)."""

    position: np.ndarray
    velocity: np.ndarray


def groups(spec: ActionSpec) -> dict[str, list[int]]:
    """Unit -> columns of an action that have it; without the gripper, whose command is a switch."""
    found: dict[str, list[int]] = {}
    for i, unit in enumerate(spec.units):
        if i != spec.gripper_index:
            found.setdefault(unit, []).append(i)
    return found


def commanded_steps(actions: np.ndarray, representation: str, dt: float) -> np.ndarray:
    """(T, D) wire actions to (T, D) moves. Absolute targets: from the target before; the first has none and is 0."""
    actions = np.asarray(actions, dtype=np.float64)
    if representation in DELTAS:
        return actions
    if representation == "EE_TWIST":
        return actions * dt
    return np.diff(actions, axis=0, prepend=actions[:1])


def seam_jumps(steps: np.ndarray, chunks: Sequence[int], dt: float) -> Jumps:
    """At every join: where step t comes from another chunk than step t - 1.

    chunks: (T,) the number of the chunk behind each step, 0 for a hold. Into and out of a hold is a join too: a strategy
    that stops the arm between chunks must not look smooth for it.
    """
    chunks = np.asarray(chunks)
    at = np.flatnonzero(chunks[1:] != chunks[:-1]) + 1
    return Jumps(position=_norm(steps[at]), velocity=_norm(steps[at] - steps[at - 1]) / dt)


def inner_jumps(chunks: Iterable[np.ndarray], dt: float) -> Jumps:
    """Inside chunks as the policy made them: `chunks` holds the steps (H, D) of each. What seams are measured against."""
    chunks = [c for c in chunks if len(c) > 1]
    if not chunks:
        return Jumps(position=np.zeros(0), velocity=np.zeros(0))
    return Jumps(
        position=np.concatenate([_norm(c[1:]) for c in chunks]),
        velocity=np.concatenate([_norm(np.diff(c, axis=0)) / dt for c in chunks]),
    )


def jerk(path: np.ndarray, dt: float) -> np.ndarray:
    """(T - 3,) |third difference| / dt^3 of positions (T, D), measured or commanded: m/s^3 or rad/s^3."""
    return _norm(np.diff(np.asarray(path, dtype=np.float64), n=3, axis=0)) / dt**3


def hold_time(reasons: Sequence[str], dt: float) -> dict[str, float]:
    """Reason -> seconds held for it. reasons: one a control step, empty where a chunk acted."""
    found: dict[str, float] = {}
    for reason in reasons:
        if reason:
            found[reason] = found.get(reason, 0.0) + dt
    return found


def motion_report(
    executed: np.ndarray,
    chunks: Sequence[int],
    planned: Iterable[np.ndarray],
    spec: ActionSpec,
    dt: float,
) -> dict[str, float]:
    """The figures of one episode's joins, by unit: `seam_velocity_m_p99` and so on; NaN where nothing was joined.

    executed: (T, N) wire actions. chunks: (T,) as of `seam_jumps`. planned: (H, N) wire values of every chunk. The ratio
    is the seams' p99 change of velocity over that within chunks: at most 1 where joins cannot be told from the rest.
    """
    planned = [np.asarray(p) for p in planned]
    first = 1 if spec.representation in ABSOLUTE else 0  # the move to a chunk's first target is not inside it
    report: dict[str, float] = {}
    for unit, columns in groups(spec).items():
        moves = commanded_steps(np.asarray(executed)[:, columns], spec.representation, dt)
        seams = seam_jumps(moves, chunks, dt)
        inside = [commanded_steps(p[:, columns], spec.representation, dt) for p in planned]
        inner = inner_jumps([c[first:] for c in inside], dt)
        for quantity in ("position", "velocity"):
            for place, jumps in (("seam", seams), ("within", inner)):
                for q in (50, 99):
                    report[f"{place}_{quantity}_{unit}_p{q}"] = _percentile(getattr(jumps, quantity), q)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.divide(report[f"seam_velocity_{unit}_p99"], report[f"within_velocity_{unit}_p99"])
        report[f"seam_velocity_{unit}_ratio"] = float(ratio)
        jerks = jerk(np.cumsum(moves, axis=0), dt)
        report[f"jerk_{unit}_p50"], report[f"jerk_{unit}_p99"] = (_percentile(jerks, q) for q in (50, 99))
    return report


def _norm(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=-1)


def _percentile(values: np.ndarray, q: float) -> float:
    return float(np.percentile(values, q)) if len(values) else float("nan")
