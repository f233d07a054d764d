"""Joints foreseen and joints measured: a panel a joint over one episode."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clad.contract.proprio import fields_of_length
from clad.errors import CladError
from clad.eval.foresight import pairs
from clad.figures import canvas
from clad.figures.episodes import BagEpisode
from clad.stamps import SECOND

UNITS = {"joint_position": "rad", "gripper_position": "m", "ee_position": "m"}  # what is shown, of any variant
COLUMNS = 4  # of panels; the bars are a fifth
MILLI = 1000.0


def measured_and_foreseen(episode: BagEpisode) -> tuple[np.ndarray, np.ndarray]:
    """p_t and h_p(z^p), which is of t+tau: (N, D_p) each, SI units. Raises CladError when the bag lacks either."""
    measured, foreseen = ([getattr(r, n) for r in episode.foreseen] for n in ("proprio", "proprio_predicted"))
    if not all(len(row) for row in foreseen):
        raise CladError(
            f"{episode.bag}: {episode.figures.planner} does not say where the joints will be",
            "Record a model that has a planner",
        )
    if not all(len(row) for row in measured):
        raise CladError(
            f"{episode.bag}: its foresights have no proprio_measured: an older clad recorded them", "Record it again"
        )
    return np.stack(measured).astype(np.float64), np.stack(foreseen).astype(np.float64)


def errors(episode: BagEpisode) -> tuple[np.ndarray, np.ndarray, int]:
    """Root mean square of h_p(z^p) - p_{t+tau} and of p_t - p_{t+tau}, (D_p,) each in SI units, and over how many t.

    The second is that of standing still. Raises CladError when no foresight's time came within the episode.
    """
    measured, foreseen = measured_and_foreseen(episode)
    horizons = np.array([row.horizon for row in episode.foreseen])
    made, due = pairs(episode.stamps, horizons, round(episode.contract.control_period * SECOND / 2)).T
    if not len(made):
        raise CladError(
            f"{episode.bag}: no foresight of episode {episode.figures.episode} has an observation {episode.tau:g} s later",
            "The episode is too short, or foresights were lost",
        )
    return _rms(foreseen[made] - measured[due]), _rms(measured[made] - measured[due]), len(made)


def draw(episode: BagEpisode, out: Path) -> None:
    """Write the PNG: measured line, a whisker from each p_t to what was foreseen for t+tau, error against standing still."""
    measured, foreseen = measured_and_foreseen(episode)
    error, still, n = errors(episode)
    shown = _shown(episode, measured.shape[1])
    rows = -(-len(shown) // COLUMNS)
    figure = canvas.new_figure(3.0 * COLUMNS + 2.6, 1.8 * rows + 0.7)
    grid = figure.add_gridspec(rows, COLUMNS + 1)
    t = (episode.stamps - episode.start) / SECOND
    later = t + episode.tau
    for place, (k, name, unit) in enumerate(shown):
        axes = figure.add_subplot(grid[divmod(place, COLUMNS)])
        axes.plot(t, measured[:, k], color="black", linewidth=1.2, label="measured")
        whiskers = np.stack([measured[:, k], foreseen[:, k]])
        axes.plot(np.stack([t, later]), whiskers, color=canvas.VERMILLION, linewidth=0.9, alpha=0.8)
        label = f"foreseen {episode.tau:g} s before"
        axes.plot(later, foreseen[:, k], ".", color=canvas.VERMILLION, markersize=4, label=label)
        axes.set_title(f"RMSE {MILLI * error[k]:.1f} m{unit}, of standing still {MILLI * still[k]:.1f}", fontsize=7.5)
        axes.set_ylabel(f"{name}, {unit}", fontsize=7.5)
        canvas.bare(axes)
        if place >= len(shown) - COLUMNS:
            axes.set_xlabel("time, s", fontsize=8)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    moving = [k for k, _, _ in shown]
    ratios = np.divide(error[moving], still[moving], out=np.full(len(moving), np.nan), where=still[moving] > 0)
    _bars(figure.add_subplot(grid[:, COLUMNS]), [name for _, name, _ in shown], ratios)
    figure.suptitle(
        f"Proprioception foreseen {episode.tau:g} s ahead, and measured: {episode.figures.planner}\n"
        f"{', '.join(episode.where)}: {episode.figures.outcome or 'outcome unknown'}, {episode.setting}; n = {n} foresights",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    canvas.save(figure, out)


def _shown(episode: BagEpisode, length: int) -> list[tuple[int, str, str]]:
    """(column, name, unit) of the entries of p_t that have a panel. Raises CladError for a vector of no known variant."""
    fields = fields_of_length(length)
    if not fields:
        raise CladError(f"{episode.bag}: no proprio variant has {length} entries", "Use the clad that recorded it")
    names = {
        "joint_position": episode.contract.joint_names,
        "gripper_position": episode.contract.gripper_joint_names,
        "ee_position": ("hand x", "hand y", "hand z"),
    }
    return [
        (columns.start + k, name, UNITS[field])
        for field, columns in fields
        if field in names
        for k, name in enumerate(names[field])
    ]


def _bars(axes, names: list[str], ratios: np.ndarray) -> None:
    """How much of the motion's error is left."""
    axes.barh(range(len(names)), ratios, color=canvas.BLUE, height=0.7)
    axes.axvline(1.0, color=canvas.GREY, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_title("foreseen / standing still", fontsize=7.5)
    axes.set_xlabel("ratio of RMSE; below 1 is foresight", fontsize=8)
    canvas.bare(axes)
    axes.tick_params(axis="y", labelsize=6)


def _rms(differences: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(differences).mean(axis=0))
