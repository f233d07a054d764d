"""What an evaluation may be made harder by, as plain data. `clad.sim.disturb` acts the scene's part of it out.

Every draw is a function of the episode's seed and the perturbation's name alone: one perturbation does not change what
another draws, and an episode repeats exactly.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from clad.errors import UsageError, unknown_name

# name -> (level when none is given, largest level, what it does)
LEVELS: dict[str, tuple[float, float, str]] = {
    "camera": (0.03, 0.2, "fixed cameras displaced by up to LEVEL m an axis, turned by up to LEVEL rad"),
    "light": (
        0.5,
        0.9,
        "each light's brightness changed by up to the fraction LEVEL, its colour too, moved by up to LEVEL m",
    ),
    "distractors": (2, 5, "LEVEL more of LIBERO's objects on the table, free to be knocked over"),
    "offset": (0.05, 0.2, "every movable object LEVEL m away from where the state has it, in a direction of its own"),
    "drop": (0.3, 1.0, "a fraction LEVEL of the frames to plan from is lost: the policy sees the last that came"),
    "delay": (
        0.1,
        1.0,
        "a chunk acts LEVEL s late, rounded up to control steps; until then the one before it acts",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbations:
    """Levels by name, units as in LEVELS; 0: absent."""

    camera: float = 0.0
    light: float = 0.0
    distractors: float = 0.0
    offset: float = 0.0
    drop: float = 0.0
    delay: float = 0.0

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Perturbations:
        """From 'NAME' or 'NAME=LEVEL' each. Raises UsageError naming the valid names or levels."""
        levels: dict[str, float] = {}
        for text in texts:
            name, _, given = text.partition("=")
            if name not in LEVELS:
                raise unknown_name("perturbation", name, LEVELS)
            if name in levels:
                raise UsageError(f"perturbation '{name}' is given twice", "Give each once")
            levels[name] = _level(name, given) if given else LEVELS[name][0]
        return cls(**levels)

    def to_dict(self) -> dict[str, float]:
        """{name: level} of those that are present, in alphabetical order."""
        return {name: level for name, level in sorted(asdict(self).items()) if level}

    def __bool__(self) -> bool:
        return bool(self.to_dict())


def generator(seed: int, name: str) -> np.random.Generator:
    """The random numbers of one perturbation in the episode with this seed."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def describe() -> str:
    """All perturbations with their levels, for --help."""
    return "\n".join(f"  {name:<12} {what} ({level:g})" for name, (level, _, what) in LEVELS.items())


def _level(name: str, given: str) -> float:
    most = LEVELS[name][1]
    try:
        level = float(given)
    except ValueError:
        level = np.nan
    if not 0 < level <= most or name == "distractors" and level != int(level):
        whole = "a whole number " if name == "distractors" else ""
        raise UsageError(f"level '{given}' of perturbation '{name}'", f"Give {whole}above 0, up to {most:g}")
    return level
