"""Rollout sheets: a row an episode, a column a moment, every camera, and underneath how far off the foresight was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np

from clad.bag.pictures import CAMERA_SUFFIX, picture
from clad.bag.reader import read_messages
from clad.errors import CladError
from clad.figures import canvas
from clad.figures.episodes import BagEpisode, read_episodes
from clad.stamps import SECOND, to_ns

CELL, STRIP, LABEL, GAP = 1.15, 0.75, 1.45, 0.45  # inches: a picture, the strip of errors, the words, between episodes
# what the strip shows of the foresight's error: the first that the planner's proprio has
ERRORS = {"ee_position": ("hand, mm", 1000.0), "joint_position": ("joints, mrad", 1000.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """An episode with what is shown of it. moments: (M,) s. pictures: camera -> M of (H, W, 3) uint8, None where none."""

    episode: BagEpisode
    moments: np.ndarray
    pictures: dict[str, list[np.ndarray | None]]


def read_rollouts(bags: Sequence[Path], columns: int, robot: str = "") -> Iterator[Rollout]:
    """Every episode of the bags; of its pictures only those nearest to `columns` moments are ever kept."""
    for bag in bags:
        for episode in read_episodes(bag, robot):
            moments = np.linspace(0.0, episode.length, columns)
            wanted = episode.start + np.round(moments * SECOND).astype(np.int64)
            yield Rollout(episode=episode, moments=moments, pictures=_pictures(episode, wanted))


def draw(rollouts: Sequence[Rollout], out: Path) -> None:
    """Write the sheet."""
    cameras = list(rollouts[0].pictures)
    columns = len(rollouts[0].moments)
    heights = [*[CELL] * len(cameras), STRIP]
    figure = canvas.new_figure(LABEL + CELL * columns + 0.9, (sum(heights) + GAP) * len(rollouts) + 0.6)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.015, wspace=0.0, hspace=0.0)
    sheets = figure.subfigures(len(rollouts), 1, squeeze=False)[:, 0]
    lines = []
    for sheet, rollout in zip(sheets, rollouts, strict=True):
        grid = sheet.add_gridspec(
            len(heights), columns + 1, height_ratios=heights, width_ratios=[LABEL / CELL, *[1] * columns]
        )
        _words(sheet.add_subplot(grid[:, 0]), rollout.episode)
        for row, camera in enumerate(cameras):
            for column, shown in enumerate(rollout.pictures[camera]):
                axes = sheet.add_subplot(grid[row, column + 1])
                axes.set_xticks([])
                axes.set_yticks([])
                if shown is not None:
                    axes.imshow(shown, interpolation="lanczos")
                if row == 0:
                    axes.set_title(f"{rollout.moments[column]:.1f} s", fontsize=7, pad=2)
                if column == 0:
                    axes.set_ylabel(camera, fontsize=7)
        lines = max(lines, _strip(sheet.add_subplot(grid[-1, 1:]), rollout), key=len)  # some models have no cosine
    if lines:
        figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), fontsize=8, frameon=False)
    models = ", ".join(dict.fromkeys(str(r.episode.figures.planner) for r in rollouts))
    settings = "; ".join(dict.fromkeys(r.episode.setting for r in rollouts))
    won = sum(r.episode.figures.outcome == "success" for r in rollouts)
    figure.suptitle(f"{models}: {won} of {len(rollouts)} episodes shown succeeded ({settings})", fontsize=10)
    canvas.save(figure, out)


def _pictures(episode: BagEpisode, wanted: np.ndarray) -> dict[str, list[np.ndarray | None]]:
    """Of each camera the picture nearest to each stamp (M,) ns, held one at a time while the bag streams by."""
    topics = {f"/{camera}{CAMERA_SUFFIX}": camera for camera in episode.contract.cameras}
    kept = {camera: [None] * len(wanted) for camera in topics.values()}
    distance = {camera: np.full(len(wanted), np.iinfo(np.int64).max) for camera in topics.values()}
    for item in read_messages(episode.bag, topics):
        camera = topics[item.topic]
        apart = np.abs(wanted - to_ns(item.message.header.stamp))
        nearer = np.flatnonzero(apart < distance[camera])
        if len(nearer):
            shown = picture(item.message)
            for k in nearer:
                kept[camera][k], distance[camera][k] = shown, apart[k]
    if all(shown is None for pictures in kept.values() for shown in pictures):
        raise CladError(f"{episode.bag} has no pictures: {', '.join(topics)}", "Record the cameras too")
    return kept


def _words(axes, episode: BagEpisode) -> None:
    axes.set_axis_off()
    success, outcome = episode.figures.outcome == "success", episode.figures.outcome or "outcome unknown"
    mark, color = ("✓", canvas.BLUE) if success else ("✗", canvas.VERMILLION)
    axes.text(0, 0.97, f"{mark} {outcome}", color=color, fontsize=11, va="top", weight="bold")
    words = [*wrap(episode.figures.instruction or "", 24), "", *(w for part in episode.where for w in wrap(part, 24))]
    axes.text(0, 0.86, "\n".join(words), fontsize=7.5, va="top")


def _strip(axes, rollout: Rollout) -> list:
    """Error at t+tau of what was foreseen and of standing still, and the cosine of the scene foreseen; their lines."""
    half = rollout.moments[-1] / max(1, len(rollout.moments) - 1) / 2
    axes.set_xlim(-half, rollout.moments[-1] + half)  # so that each moment lies below its picture
    axes.set_xlabel("time, s", fontsize=7, labelpad=1)
    canvas.bare(axes)
    found = rollout.episode.series.foresight
    name = next((name for name in ERRORS if name in found), None)
    if name is None:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no foresight was read back in this recording", transform=axes.transAxes, ha="center")
        return []
    label, scale = ERRORS[name]
    still = scale * found[f"{name}_persistence"]
    lines = axes.plot(found["time"], still, "--", color=canvas.GREY, linewidth=1, label="error of standing still")
    lines += axes.plot(
        found["time"],
        scale * found[name],
        color=canvas.VERMILLION,
        linewidth=1.3,
        label=f"error of what was foreseen {rollout.episode.tau:g} s before",
    )
    axes.set_ylim(bottom=0)
    axes.set_ylabel(label, fontsize=7)
    if "cosine" in found:
        right = axes.twinx()
        lines += right.plot(
            found["time"], found["cosine"], color=canvas.BLUE, linewidth=1.3, label="cosine of the scene"
        )
        lines += right.plot(
            found["time"],
            found["cosine_persistence"],
            ":",
            color=canvas.BLUE,
            linewidth=1,
            label="of a scene that stays",
        )
        right.set_ylim(0, 1)
        right.set_ylabel("cosine", fontsize=7, color=canvas.BLUE)
        right.tick_params(labelsize=7, colors=canvas.BLUE)
        right.spines["top"].set_visible(False)
    return lines
