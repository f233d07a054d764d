"""The plots of a report: each a function of one or two labelled sets of episodes, None where no episode has the figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clad.bag.recording import RecordedEpisode
from clad.eval.timing import STAGES
from clad.report.tables import by_task, task_name

COLOURS = ("#0072b2", "#d55e00")  # of the two sets: Okabe and Ito's, told apart by everyone
PALE = ("rgba(0,114,178,0.15)", "rgba(213,94,0,0.15)")
REASONS = ("#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#009e73", "#7b5aa6", "#8c564b", "#000000")
OTHER = "other reasons"
MOST_ROWS = 100  # of the timeline
BINS = 80  # of an episode's time
STAGE_NAMES = {
    "sense": "capture to publication",
    "to_planner": "on its way to the planner",
    "encode": "encoder",
    "plan_rest": "planner",
    "to_policy": "on its way to the policy",
    "policy": "policy",
    "to_robot": "on its way, and until due",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeSet:
    """label: what the legend calls it."""

    label: str
    episodes: Sequence[RecordedEpisode]

    @property
    def figures(self) -> list:
        return [episode.figures for episode in self.episodes]


def success(sets: Sequence[EpisodeSet]) -> go.Figure | None:
    """Success rate of each task with its Wilson 95 % interval."""
    figure = go.Figure()
    for place, one in enumerate(sets):
        groups = [g for g in by_task(one.figures) if g.n]
        rates = np.array([100 * g.rate for g in groups])
        low, high = (np.array([100 * g.wilson_95[end] for g in groups]) for end in (0, 1))
        figure.add_scatter(
            x=rates,
            y=[task_name(g) for g in groups],
            error_x={"array": high - rates, "arrayminus": rates - low, "thickness": 2, "width": 6},
            mode="markers",
            marker={"size": 11, "color": COLOURS[place]},
            orientation="h",
            offsetgroup=place,
            name=one.label,
            customdata=[[g.success_text, g.instruction or ""] for g in groups],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        )
    if not any(len(trace.x) for trace in figure.data):
        return None
    rows = len({name for trace in figure.data for name in trace.y})
    figure.update_xaxes(title="success, %", range=[-3, 103])
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(height=150 + 34 * rows, scattermode="group")
    return figure


def seams(sets: Sequence[EpisodeSet]) -> go.Figure | None:
    """p99 change of velocity at seams over that within chunks; on the diagonal a seam looks like any other step."""
    units = ("m", "rad")
    figure = make_subplots(cols=2, horizontal_spacing=0.12)
    for col, unit in enumerate(units, 1):
        names = f"motion.within_velocity_{unit}_p99", f"motion.seam_velocity_{unit}_p99"
        most = 0.0
        for place, one in enumerate(sets):
            points = [(flat.get(names[0]), flat.get(names[1]), _label(f)) for f in one.figures for flat in [f.flat()]]
            points = [p for p in points if None not in p[:2]]
            if not points:
                continue
            x, y, text = zip(*points)
            most = max(most, *x, *y)
            style = {"size": 9, "color": COLOURS[place], "opacity": 0.75}
            figure.add_scatter(
                x=x, y=y, text=text, mode="markers", marker=style, name=one.label, legendgroup=one.label,
                showlegend=col == 1, row=1, col=col, hovertemplate="%{text}<br>within %{x:.3g}, seams %{y:.3g}<extra></extra>",
            )  # fmt: skip
        line = {"color": "#999", "dash": "dot"}
        figure.add_scatter(
            x=[0, 1.05 * most], y=[0, 1.05 * most], mode="lines", line=line, hoverinfo="skip", showlegend=False, row=1, col=col
        )  # fmt: skip
        figure.update_xaxes(title=f"within chunks, {unit}/s", rangemode="tozero", row=1, col=col)
        figure.update_yaxes(title=f"at seams, {unit}/s", rangemode="tozero", row=1, col=col)
    return figure.update_layout(height=400) if any(trace.mode == "markers" for trace in figure.data) else None


def jerk(sets: Sequence[EpisodeSet]) -> go.Figure | None:
    """p99 jerk of the commanded motion of each episode, by task."""
    units = ("m", "rad")
    figure = make_subplots(cols=2, horizontal_spacing=0.12)
    found = False
    for col, unit in enumerate(units, 1):
        for place, one in enumerate(sets):
            rows = [(f, f.motion.get(f"jerk_{unit}_p99")) for f in one.figures]
            rows = [(f, value) for f, value in rows if value is not None]
            found = found or bool(rows)
            figure.add_box(
                x=[f"{f.suite} {f.task}" if f.suite else f.instruction for f, _ in rows],
                y=[value for _, value in rows],
                text=[_label(f) for f, _ in rows],
                boxpoints="all", jitter=0.5, pointpos=0, marker={"size": 5, "color": COLOURS[place], "opacity": 0.6},
                line={"width": 1.5}, fillcolor=PALE[place], name=one.label, legendgroup=one.label, showlegend=col == 1,
                row=1, col=col,
            )  # fmt: skip
        figure.update_yaxes(title=f"{unit}/s³", rangemode="tozero", row=1, col=col)
    figure.update_xaxes(type="category")
    return figure.update_layout(height=380, boxmode="group") if found else None


def waterfall(sets: Sequence[EpisodeSet]) -> go.Figure | None:
    """The stages of a chunk's way, medians end to end, over all chunks; whiskers reach each stage's p99."""
    figure, found = go.Figure(), False
    for place, one in enumerate(sets):
        pooled = {name: _pooled(one, name) for name in STAGES}
        names = [name for name in STAGES if len(pooled[name])]
        if not names:
            continue
        found = True
        medians, tails = (np.array([1e3 * np.percentile(pooled[name], q) for name in names]) for q in (50, 99))
        figure.add_bar(
            y=[STAGE_NAMES[name] for name in names],
            x=medians,
            base=np.concatenate([[0], np.cumsum(medians)[:-1]]),
            error_x={"array": np.maximum(0, tails - medians), "arrayminus": 0 * tails, "thickness": 1, "color": "#666"},
            orientation="h",
            marker_color=COLOURS[place],
            name=one.label,
            customdata=np.stack([medians, tails, [len(pooled[name]) for name in names]], axis=-1).tolist(),
            hovertemplate="%{y}: p50 %{customdata[0]:.1f} ms, p99 %{customdata[1]:.1f} ms, n %{customdata[2]}<extra></extra>",
        )
    figure.update_yaxes(
        autorange="reversed", categoryorder="array", categoryarray=[STAGE_NAMES[name] for name in STAGES]
    )
    figure.update_xaxes(title="ms of wall time", rangemode="tozero")
    return figure.update_layout(height=400, barmode="group") if found else None


def age(sets: Sequence[EpisodeSet]) -> go.Figure | None:
    """How old the observation behind an action was when it began to act: share of steps at most that old."""
    figure = go.Figure()
    for place, one in enumerate(sets):
        ages = np.sort(np.concatenate([1e3 * e.series.age[1] for e in one.episodes] or [np.zeros(0)]))
        if len(ages):
            share = np.linspace(0, 100, min(len(ages), 400) + 1)[1:]
            figure.add_scatter(
                x=np.percentile(ages, share, method="inverted_cdf"),
                y=share,
                line={"shape": "vh", "width": 2.5, "color": COLOURS[place]},
                name=f"{one.label}, {len(ages)} steps",
                hovertemplate="%{y:.0f} % of steps at most %{x:.0f} ms<extra></extra>",
            )
    figure.update_xaxes(title="ms", rangemode="tozero").update_yaxes(title="% of steps", range=[0, 102])
    return figure.update_layout(height=330) if figure.data else None


def foresight(sets: Sequence[EpisodeSet], name: str, title: str) -> go.Figure | None:
    """A foresight's error against what was seen at t + tau, over the episode: median and quartiles in bins of time.

    name: of EpisodeSeries.foresight; its `_persistence` is drawn beside it, dotted.
    """
    figure = go.Figure()
    for place, one in enumerate(sets):
        for key, what, dash in ((name, "foresight", "solid"), (f"{name}_persistence", "nothing changes", "dot")):
            time, bands = _over_time(one, key)
            if not len(time):
                continue
            style = {"color": COLOURS[place], "dash": dash, "width": 2.5 if dash == "solid" else 1.8}
            label = what if len(sets) == 1 else f"{one.label}: {what}"
            figure.add_scatter(
                x=np.concatenate([time, time[::-1]]), y=np.concatenate([bands[2], bands[0][::-1]]), fill="toself",
                fillcolor=PALE[place], line={"width": 0}, hoverinfo="skip", legendgroup=label, showlegend=False,
            )  # fmt: skip
            figure.add_scatter(x=time, y=bands[1], line=style, name=label, legendgroup=label)
    figure.update_xaxes(title="s since the first observation, at t + τ").update_yaxes(title=title)
    return figure.update_layout(height=340, hovermode="x unified") if figure.data else None


def holds(sets: Sequence[EpisodeSet]) -> go.Figure | None:
    """A line an episode, as long as it took, and where it was held, coloured by reason."""
    episodes = [(one, e) for one in sets for e in one.episodes if e.figures.duration_s][:MOST_ROWS]
    if not episodes:
        return None
    rows = [f"{one.label}: {_label(e.figures)}" if len(sets) > 1 else _label(e.figures) for one, e in episodes]
    names = [f"{row} ({i})" if rows.count(row) > 1 else row for i, row in enumerate(rows)]
    figure = go.Figure()
    figure.add_bar(
        y=names, x=[e.figures.duration_s for _, e in episodes], orientation="h", marker_color="#dfe3e8", name="acting",
        customdata=[e.figures.outcome or "-" for _, e in episodes], hovertemplate="%{y}: %{x:.1f} s, %{customdata}<extra></extra>",
    )  # fmt: skip
    held: dict[str, float] = {}
    for begin, end, reason in (span for _, e in episodes for span in e.series.holds):
        held[reason] = held.get(reason, 0.0) + end - begin
    reasons = sorted(held, key=held.__getitem__, reverse=True)
    shown = reasons if len(reasons) <= len(REASONS) else [*reasons[: len(REASONS) - 1], OTHER]
    for i, reason in enumerate(shown):
        drawn = reasons[i:] if reason == OTHER else [reason]
        spans = [(n, *span) for n, (_, e) in zip(names, episodes) for span in e.series.holds if span[2] in drawn]
        figure.add_bar(
            y=[n for n, *_ in spans], x=[end - begin for _, begin, end, _ in spans], base=[s[1] for s in spans],
            orientation="h", marker_color=REASONS[i], name=reason,
            hovertemplate="%{y}: held %{x:.2f} s from %{base:.2f} s<extra>" + reason + "</extra>",
        )  # fmt: skip
    ends = {"success": ("#009e73", "circle"), "timeout": ("#d55e00", "x")}
    styles = [ends.get(e.figures.outcome, ("#000", "line-ns-open")) for _, e in episodes]
    figure.add_scatter(
        y=names, x=[e.figures.duration_s for _, e in episodes], mode="markers", showlegend=False, hoverinfo="skip",
        marker={"size": 8, "color": [c for c, _ in styles], "symbol": [s for _, s in styles]},
    )  # fmt: skip
    figure.update_xaxes(title="s since the first observation")
    figure.update_yaxes(autorange="reversed", type="category", dtick=1)
    return figure.update_layout(height=170 + 20 * (len(names) + len(shown)), barmode="overlay", bargap=0.3)


def _pooled(one: EpisodeSet, name: str) -> np.ndarray:
    found = [e.series.latency[name] for e in one.episodes if name in e.series.latency]
    return np.concatenate(found) if found else np.zeros(0)


def _over_time(one: EpisodeSet, key: str) -> tuple[np.ndarray, np.ndarray]:
    """(B,) mid times and (3, B) quartiles of all episodes' values in each bin of time."""
    series = [e.series.foresight for e in one.episodes if key in e.series.foresight]
    if not series:
        return np.zeros(0), np.zeros((3, 0))
    time, values = (np.concatenate([s[name] for s in series]) for name in ("time", key))
    time, values = time[np.isfinite(values)], values[np.isfinite(values)]
    if not len(time):
        return np.zeros(0), np.zeros((3, 0))
    edges = np.linspace(time.min(), time.max() + 1e-9, BINS + 1)
    place = np.digitize(time, edges) - 1
    used = np.unique(place)
    bands = np.array([np.percentile(values[place == bin], [25, 50, 75]) for bin in used]).T
    return (edges[used] + edges[used + 1]) / 2, bands


def _label(f) -> str:
    """E.g. libero_10 5, init 3, seed 3."""
    task = f"{f.suite} {f.task}" if f.suite else (f.instruction or f"episode {f.episode}")
    return f"{task}, init {f.init_index}, seed {f.seed}" if f.seed is not None else task
