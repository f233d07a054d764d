"""How far foresights were from what came: pure functions of what was foreseen at t and seen at t + tau.

Beside each error stands that of persistence, which foresees that nothing changes: what a foresight has to beat.
"""

from __future__ import annotations

import numpy as np

from clad.contract.proprio import fields_of_length


def pairs(stamps: np.ndarray, horizons: np.ndarray, tolerance: int) -> np.ndarray:
    """(n, 2) indices (i, j): j is what was seen nearest to stamps[i] + horizons[i], within `tolerance`.

    stamps: (T,) ns, strictly ascending. horizons: (T,) ns. Foresights whose future was not seen are in no pair.
    """
    if not len(stamps):
        return np.zeros((0, 2), dtype=np.int64)
    due = stamps + horizons
    after = np.clip(np.searchsorted(stamps, due), 1, max(len(stamps) - 1, 1))
    after = np.minimum(after, len(stamps) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(stamps[before] - due) <= np.abs(stamps[after] - due), before, after)
    here = np.arange(len(stamps))
    close = (np.abs(stamps[nearest] - due) <= tolerance) & (nearest > here)
    return np.stack([here, nearest], axis=1)[close]


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) cosine similarity of rows (n, D), float64; NaN where a row is zero, as a blind model's are."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum(a * b, axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))


def proprio_errors(predicted: np.ndarray, measured: np.ndarray) -> dict[str, np.ndarray]:
    """Field -> (n,) distance of rows (n, D_p), SI units: metres and radians have no common norm.

    The Euclidean norm of a field's difference (rad, rad/s, m); of `ee_quaternion` the angle between the two, rad.
    Empty where D_p is no known proprio variant's.
    """
    found = {}
    for name, columns in fields_of_length(predicted.shape[-1]):
        a, b = (np.asarray(rows[:, columns], dtype=np.float64) for rows in (predicted, measured))
        if name == "ee_quaternion":
            found[name] = _angle(a, b)
        else:
            found[name] = np.linalg.norm(a - b, axis=-1)
    return found


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Between rotations (n, 4), q and -q being the same one; by atan2, since arccos is blind to small angles."""
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (q / np.linalg.norm(q, axis=-1, keepdims=True) for q in (a, b))
    apart, together = np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)
    return 4.0 * np.arctan2(np.minimum(apart, together), np.maximum(apart, together))
