"""z_dyn of demonstrations over tasks (the paper's figure 4): pictures by UMAP, and scores that do not depend on UMAP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from clad.contract import RobotContract
from clad.data.features import EncodedEpisode, load_cache, read_info
from clad.data.windows import build_windows
from clad.errors import CladError
from clad.figures import canvas
from clad.figures.planners import StudiedPlanner
from clad.train.batches import WindowTensors

BATCH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Latents:
    """z: (W, d) z_dyn of W windows. task, episode: (W,) numbers. tasks: a name for each task number in use."""

    planner: str
    z: np.ndarray
    task: np.ndarray
    episode: np.ndarray
    tasks: dict[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """Latents with their embedding (W, 2), and silhouettes by task (W,) in -1 to 1: in z_dyn's own space and in the picture."""

    latents: Latents
    embedding: np.ndarray
    silhouette: np.ndarray
    embedded_silhouette: np.ndarray

    def by(self, group: np.ndarray) -> dict[int, float]:
        """Mean silhouette in z_dyn's space of each group: group (W,) is `latents.task` or `latents.episode`."""
        return {int(g): float(self.silhouette[group == g].mean()) for g in np.unique(group)}


def shared_episodes(features: Path, planners: Sequence[StudiedPlanner]) -> tuple[list[EncodedEpisode], bool]:
    """The cache's episodes that no planner was trained on, and True; all of them and False where a planner does not say.

    Raises CladError when the planners take other features, or nothing was held out by all of them.
    """
    cache = read_info(features)
    for planner in planners:
        if planner.encoder_sha256 != cache.encoder_sha256:
            raise CladError(
                f"{features} holds features of encoder {cache.encoder_sha256[:12]}, {planner.name} was trained on "
                f"{planner.encoder_sha256[:12]}",
                "Give the features that it was trained on",
            )
    first = planners[0]
    if any((p.cameras, p.features) != (first.cameras, first.features) for p in planners):
        raise CladError("these planners take different cameras or features", "Compare planners that see the same")
    episodes = load_cache(features, first.cameras, first.features)
    told = [set(p.held_out) for p in planners if p.held_out is not None]
    if len(told) < len(planners):
        return episodes, False
    held = [e for e in episodes if e.key in set.intersection(*told)]
    if not held:
        raise CladError(f"no demonstration in {features} was held out of all these planners", "Train them on one cache")
    return held, True


def embed_dynamics(
    planner: StudiedPlanner, episodes: Sequence[EncodedEpisode], contract: RobotContract, most: int
) -> Latents:
    """z_dyn of at most `most` windows, evenly spaced over the episodes."""
    windows = build_windows(
        episodes,
        horizon=planner.horizon,
        proprio=planner.proprio_variant,
        cameras=planner.cameras,
        features=planner.features,
        action=contract.action,
    )
    tensors = WindowTensors(windows, planner.normalisers, blind=planner.blind, device=torch.device("cpu"))
    chosen = np.arange(0, len(windows), -(-len(windows) // most))
    z = []
    with torch.inference_mode():
        for start in range(0, len(chosen), BATCH):
            batch = tensors.take(torch.from_numpy(chosen[start : start + BATCH]))
            z.append(planner.model.cross_modal(batch.past, batch.now, batch.text, batch.actions).numpy())
    numbers, tasks = _tasks(episodes)
    return Latents(
        planner=f"{planner.name} (λ = {planner.config.recon_weight:g})",
        z=np.concatenate(z),
        task=numbers[windows.episode[chosen]],
        episode=windows.episode[chosen],
        tasks=tasks,
    )


def silhouettes(points: np.ndarray, task: np.ndarray) -> np.ndarray:
    """(W,) Euclidean silhouettes of points (W, d): 1 deep among those of its task, below 0 nearer to another's.

    Raises CladError when there are fewer than two tasks, or scikit-learn is not installed.
    """
    if len(np.unique(task)) < 2:
        raise CladError("there is one task only: nothing to separate", "Give features of several tasks")
    try:
        from sklearn.metrics import silhouette_samples
    except ImportError as error:
        raise CladError(f"scikit-learn is not installed ({error})", canvas.INSTALL) from error
    return silhouette_samples(points, task)


def cluster(latents: Latents, seed: int) -> Clusters:
    """Raises CladError as `silhouettes` does, and when UMAP is not installed."""
    try:
        import umap
    except ImportError as error:
        raise CladError(f"UMAP is not installed ({error})", canvas.INSTALL) from error
    silhouette = silhouettes(latents.z, latents.task)
    # with a seed UMAP runs on one thread and repeats; Euclidean, as the silhouettes beside it
    embedding = umap.UMAP(random_state=seed, n_jobs=1).fit_transform(latents.z)
    return Clusters(
        latents=latents,
        embedding=embedding,
        silhouette=silhouette,
        embedded_silhouette=silhouettes(embedding, latents.task),
    )


def compare(first: Clusters, other: Clusters) -> tuple[int, int, float]:
    """In how many episodes of how many `first` has the higher mean silhouette, and Wilcoxon's signed-rank p, two-sided.

    Episodes are the unit: windows of one episode are no independent draws.
    """
    from scipy.stats import wilcoxon

    pairs = [c.by(c.latents.episode) for c in (first, other)]
    differences = np.array([pairs[0][e] - pairs[1][e] for e in pairs[0]])
    p = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    return int((differences > 0).sum()), len(differences), p


def draw(found: Sequence[Clusters], held_out: bool, seed: int, out: Path) -> None:
    """Write the PNG: a picture a planner with its scores, and the silhouette of each task."""
    tasks = found[0].latents.tasks
    figure = canvas.new_figure(4.0 * len(found) + 3.6, 5.4)
    *pictures, bars = figure.subplots(1, len(found) + 1, width_ratios=[4.0] * len(found) + [3.2])
    for axes, clusters in zip(pictures, found, strict=True):
        latents = clusters.latents
        for place, task in enumerate(tasks):
            points = clusters.embedding[latents.task == task]
            axes.plot(*points.T, ".", color=canvas.TASKS[place % len(canvas.TASKS)], markersize=2.5, alpha=0.7)
            axes.annotate(
                str(task),
                np.median(points, axis=0),
                fontsize=10,
                weight="bold",
                ha="center",
                va="center",
                bbox={"boxstyle": "circle,pad=0.15", "color": "white", "alpha": 0.8},
            )
        axes.set_title(
            f"{latents.planner}\nsilhouette by task: z_dyn {clusters.silhouette.mean():.3f}, "
            f"this picture {clusters.embedded_silhouette.mean():.3f}",
            fontsize=9,
        )
        axes.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
    _silhouettes(bars, found)
    handles = [
        pictures[0].plot([], [], "o", color=canvas.TASKS[k % len(canvas.TASKS)], label=f"{task}  {name}")[0]
        for k, (task, name) in enumerate(tasks.items())
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7, frameon=False)
    latents = found[0].latents
    which = "held-out" if held_out else "demonstrated, perhaps trained on,"
    figure.suptitle(
        f"z_dyn over tasks: {len(latents.z)} windows of {len(np.unique(latents.episode))} {which} episodes, UMAP seed {seed}",
        fontsize=10,
    )
    canvas.save(figure, out)


def _silhouettes(axes, found: Sequence[Clusters]) -> None:
    tasks = list(found[0].latents.tasks)
    colors = (canvas.BLUE, canvas.VERMILLION, canvas.GREEN, canvas.ORANGE)
    for number, clusters in enumerate(found):
        values = clusters.by(clusters.latents.task)
        marker, color = "os^D"[number % 4], colors[number % 4]
        places = np.arange(len(tasks)) + 0.22 * (number - (len(found) - 1) / 2)  # beside each other, not on top
        axes.plot([values[t] for t in tasks], places, marker, markersize=4, color=color, label=clusters.latents.planner)
    axes.axvline(0.0, color=canvas.GREY, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(tasks)), tasks)
    axes.invert_yaxis()
    axes.set(xlabel="mean silhouette in z_dyn's own space", ylabel="task")
    axes.grid(axis="y", linewidth=0.4)
    axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.14))
    canvas.bare(axes)


def _tasks(episodes: Sequence[EncodedEpisode]) -> tuple[np.ndarray, dict[int, str]]:
    """A number for each episode's task, (E,), and the tasks' names: of the suite where all know one, else as they come."""
    instructions = [e.instruction for e in episodes]
    known = {e.instruction: int(e.meta["task"]) for e in episodes if "task" in e.meta}
    suites = {e.meta.get("suite") for e in episodes}
    if set(known) != set(instructions) or len(suites) > 1 or len(set(known.values())) < len(known):
        known = {instruction: number for number, instruction in enumerate(dict.fromkeys(instructions))}
    return np.array([known[i] for i in instructions]), {
        number: name for name, number in sorted(known.items(), key=lambda x: x[1])
    }
