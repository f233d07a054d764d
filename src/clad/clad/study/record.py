"""What a delay study has found so far: study.json, which grows by a row an episode, and its table."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from clad.errors import CladError, UsageError
from clad.eval.episodes import EpisodeSpec
from clad.eval.machine import machine, versions
from clad.eval.schema import ABSENT
from clad.eval.stats import wilson
from clad.study.delay import Condition

FILE, TABLE = "study.json", "study.csv"
SCHEMA = 1
# column of the table -> figure of motion_report: medians over episodes
FIGURES = {
    "seam_ratio_m": "seam_velocity_m_ratio",
    "seam_ratio_rad": "seam_velocity_rad_ratio",
    "seam_velocity_m_p99": "seam_velocity_m_p99",
    "within_velocity_m_p99": "within_velocity_m_p99",
    "jerk_m_p99": "jerk_m_p99",
    "jerk_rad_p99": "jerk_rad_p99",
}
_KEY = ("execution", "delay_ms", "jitter_ms", "drop", "suite", "task", "seed")


@dataclass(slots=True, kw_only=True)
class Study:
    """settings: what all rows share (model, mode, visuals, …); rows of other settings are refused. wall_s: of all runs."""

    settings: dict
    rows: list[dict] = field(default_factory=list)
    wall_s: float = 0.0

    @classmethod
    def resume(cls, path: Path, settings: dict) -> Study:
        """The study in `path`, or a new one where there is none.

        Raises CladError for a damaged file, UsageError when it was made with other settings.
        """
        if not path.exists():
            return cls(settings=settings)
        try:
            body = json.loads(path.read_text())
            found = cls(settings=body["settings"], rows=body["rows"], wall_s=body["wall_s"])
            if body["schema"] != SCHEMA:
                raise KeyError("schema")
            list(map(_key, found.rows))
        except (ValueError, KeyError, TypeError) as error:
            raise CladError(f"{path} is damaged or of another version: {error}", "Give another --out") from error
        for name, value in settings.items():
            if found.settings.get(name, ABSENT.get(name)) != value:
                raise UsageError(
                    f"{path} was made with {name} {found.settings.get(name)}, not {value}",
                    "Use the same, or another --out",
                )
        return found

    def has(self, spec: EpisodeSpec, condition: Condition) -> bool:
        """Whether this episode has its row."""
        wanted = _key({**asdict(condition), **asdict(spec)})
        return any(_key(row) == wanted for row in self.rows)

    def write(self, path: Path) -> None:
        """Replace `path` in one step: a kill leaves the old file or the new one, never half."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        body = {"schema": SCHEMA, "settings": self.settings, "machine": machine(), "versions": versions()}
        body |= {"wall_s": self.wall_s, "rows": self.rows}
        temporary.write_text(json.dumps(body, indent=1, allow_nan=False) + "\n")
        os.replace(temporary, path)


def table(rows: Sequence[dict]) -> list[dict]:
    """A line a condition: success with its Wilson interval, the mean share of time held, FIGURES' medians and quartiles.

    A figure is None where no episode has it.
    """
    lines = []
    for key in dict.fromkeys(_key(row)[:4] for row in rows):
        same = [row for row in rows if _key(row)[:4] == key]
        successes = sum(row["success"] for row in same)
        low, high = wilson(successes, len(same))
        line = dict(zip(_KEY[:4], key, strict=True)) | {
            "n": len(same),
            "successes": successes,
            "success_rate": successes / len(same),
            "wilson_low": low,
            "wilson_high": high,
            "held_share": float(np.mean([row["held_share"] for row in same])),
        }
        for name, figure in FIGURES.items():
            values = [row["motion"][figure] for row in same if row["motion"].get(figure) is not None]
            quartiles = np.percentile(values, [25, 50, 75]).tolist() if values else [None] * 3
            line |= {f"{name}_q25": quartiles[0], name: quartiles[1], f"{name}_q75": quartiles[2]}
        lines.append(line)
    return lines


def write_csv(lines: Sequence[dict], path: Path) -> None:
    """`table`'s lines."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def text(lines: Sequence[dict]) -> str:
    """The table for a terminal."""
    titles = ("execution", "delay ms", "success", "Wilson 95 %", "seam ratio m", "jerk m/s3", "held")
    cells = [
        (
            line["execution"],
            f"{line['delay_ms']:g}",
            f"{line['successes']}/{line['n']}",
            f"{100 * line['wilson_low']:.0f}-{100 * line['wilson_high']:.0f}",
            _figure(line["seam_ratio_m"]),
            _figure(line["jerk_m_p99"]),
            f"{100 * line['held_share']:.0f} %",
        )
        for line in lines
    ]
    widths = [max(len(row[i]) for row in (titles, *cells)) for i in range(len(titles))]
    return "\n".join("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in (titles, *cells))


def _key(row: dict) -> tuple:
    return tuple(row[name] for name in _KEY)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
