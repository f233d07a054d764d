"""One HTML file that holds everything, plotly too: it opens without a network, today and in ten years."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import resources
from typing import Any

import jinja2
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from clad.report import plots
from clad.report.columns import COLUMNS
from clad.report.plots import COLOURS, EpisodeSet
from clad.report.report import Report
from clad.report.tables import by_condition, by_task, group, median_text, settings, task_name

LAYOUT = {
    "template": "plotly_white",
    "margin": {"l": 60, "r": 20, "t": 40, "b": 50},
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    "colorway": list(COLOURS),
}


def render(report: Report) -> str:
    """The page."""
    sets = [EpisodeSet(label=s.label, episodes=s.episodes) for s in report.sets]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    planned = _sections(sets)
    template = environment.from_string((resources.files("clad.report") / "report.html.j2").read_text())
    return template.render(
        made=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        plotly=get_plotlyjs(),
        report=report,
        sets=[_head(one, i) for i, one in enumerate(sets)],
        sections=[(title, words, _json(figure)) for title, words, figure in planned if figure is not None],
        absent=[title for title, _, figure in planned if figure is None],
        columns=[c for c in COLUMNS if any(c.value(f) is not None for one in sets for f in one.figures)],
        comparison=report.comparison,
        titles={column.key: column for column in COLUMNS},
        groups=[(one.label, by_task(one.figures)) for one in sets],
        task_name=task_name,
        median_text=median_text,
    )


def _head(one: EpisodeSet, place: int) -> dict[str, Any]:
    """What stands at the top of the page of a set."""
    total = group(one.figures, of_one_task=False)
    told = {name: ", ".join(values) for name, values in settings(one.figures).items() if values}
    keys = (
        ("motion.seam_velocity_m_ratio", "seams against steps within chunks"),
        ("observation_age.p50_ms", "observation age"),
        ("latency.compute.p50_ms", "observation to chunk"),
        ("foresight.cosine_p50", "foresight cosine"),
        ("held_s", "held an episode"),
    )
    columns = {column.key: column for column in COLUMNS}
    tiles = [(words, median_text(total, columns[key]), columns[key].unit) for key, words in keys]
    rate = "-" if total.rate is None else f"{100 * total.rate:.0f} %"
    return {
        "label": one.label, "colour": COLOURS[place], "total": total, "rate": rate, "told": told,
        "conditions": len(by_condition(one.figures)),
        "tiles": [(words, f"{value} {unit if unit != 'm' else ''}".strip()) for words, value, unit in tiles if value != "-"],
    }  # fmt: skip


def _sections(sets: Sequence[EpisodeSet]) -> list[tuple[str, str, go.Figure | None]]:
    """Title, words and plot, None where the recordings have nothing to show."""
    return [
        ("Success", "Share of the episodes of a task, with the Wilson 95 % interval.", plots.success(sets)),
        (
            "Seams",
            "Change of velocity from one control step to the next, p99 of each episode: where one chunk follows another, over "
            "that inside chunks. Below the dotted line the joins cannot be told from the rest.",
            plots.seams(sets),
        ),
        ("Jerk", "Third difference of the commanded motion, p99 of each episode.", plots.jerk(sets)),
        (
            "Where the time goes",
            "From the camera to the first action of a chunk: medians over all chunks end to end, whiskers to the 99th "
            "percentile.",
            plots.waterfall(sets),
        ),
        (
            "Observation age",
            "How old the observation behind an action was when the action began: the share of control steps for which it "
            "was at most that old.",
            plots.age(sets),
        ),
        (
            "Foresight: the scene",
            "Cosine of the scene foreseen for t + τ with the one that was seen then (1 is perfect); dotted, what one gets by "
            "saying that nothing changes. Median and quartiles of all episodes, in bins of time.",
            plots.foresight(sets, "cosine", "cosine"),
        ),
        (
            "Foresight: the joints",
            "Distance of the joint positions foreseen for t + τ from those measured then; dotted, nothing changes.",
            plots.foresight(sets, "joint_position", "rad"),
        ),
        (
            "Foresight: the hand",
            "Distance of the hand's position foreseen for t + τ from the one measured then; dotted, nothing changes.",
            plots.foresight(sets, "ee_position", "m"),
        ),
        (
            "Holds",
            f"Every episode's course, and when the robot was held, and why. A green dot is a success. At most "
            f"{plots.MOST_ROWS} episodes are drawn.",
            plots.holds(sets),
        ),
    ]


def _json(figure: go.Figure) -> str:
    return figure.update_layout(**LAYOUT).to_json().replace("</", "<\\/")
