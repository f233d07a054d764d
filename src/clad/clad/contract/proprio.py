"""Proprioceptive vectors p_t, by named variant. Training and run time both build them here."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from clad.contract.conventions import canonical_quaternion
from clad.errors import unknown_name

# variant -> the fields that are concatenated, with their lengths: a 7-joint arm with two fingers, but for arm6_ee7
PROPRIO_VARIANTS: dict[str, tuple[tuple[str, int], ...]] = {
    "joint14": (("joint_position", 7), ("joint_velocity", 7)),
    "joint16": (("joint_position", 7), ("joint_velocity", 7), ("gripper_position", 2)),
    "ee9": (("gripper_position", 2), ("ee_position", 3), ("ee_quaternion", 4)),
    "joint16_ee7": (
        ("joint_position", 7),
        ("joint_velocity", 7),
        ("gripper_position", 2),
        ("ee_position", 3),
        ("ee_quaternion", 4),
    ),
    "arm6_ee7": (  # joint16_ee7 of a 6-joint arm
        ("joint_position", 6),
        ("joint_velocity", 6),
        ("gripper_position", 2),
        ("ee_position", 3),
        ("ee_quaternion", 4),
    ),
}


def proprio_dim(variant: str) -> int:
    """Length of p_t for a variant."""
    return sum(n for _, n in _fields(variant))


def fields_of_length(length: int) -> list[tuple[str, slice]]:
    """(field, its columns) of the variant with this D_p, of which there is one; empty when there is none."""
    for fields in PROPRIO_VARIANTS.values():
        if sum(n for _, n in fields) == length:
            ends = list(accumulate(n for _, n in fields))
            return [(name, slice(end - n, end)) for (name, n), end in zip(fields, ends, strict=True)]
    return []


def proprio_vector(state, variant: str) -> np.ndarray:
    """p_t as float32 (..., D), SI units, from anything with an Observation's or an Episode's state fields.

    Works on one observation and, with leading axes, on a whole episode: the same code feeds training and run time.
    """
    parts = []
    for name, length in _fields(variant):
        value = np.asarray(getattr(state, name), dtype=np.float64)
        if value.shape[-1] != length:
            raise ValueError(f"{name} has {value.shape[-1]} entries, variant {variant} needs {length}")
        parts.append(canonical_quaternion(value) if name == "ee_quaternion" else value)
    return np.concatenate(parts, axis=-1).astype(np.float32)


def _fields(variant: str) -> tuple[tuple[str, int], ...]:
    try:
        return PROPRIO_VARIANTS[variant]
    except KeyError:
        raise unknown_name("proprio variant", variant, PROPRIO_VARIANTS) from None
