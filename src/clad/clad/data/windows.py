"""Training windows: (t - tau, t, t + tau) of every demonstration, by the same start-of-episode rule as at run time.

Before tau steps have passed, the first observation stands in for the one tau steps ago and hold actions for the missing
executed ones (docs/architecture.md; runtime/history.py does it live). Past the end, the last observation and the last
action repeat: an episode ends the moment its task is done. Where not every step was looked at, a window needs a look at
each of its three steps; the last look stands for the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clad.contract import ActionSpec, hold_action, proprio_vector
from clad.data.features import EncodedEpisode

HOLD = -1  # row of a past action that was never executed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Row numbers of T windows, one a step t. past, now, future: (T,); actions: (T, tau), HOLD before the start of the
    episode; labels: (T, tau)."""

    past: np.ndarray
    now: np.ndarray
    future: np.ndarray
    actions: np.ndarray
    labels: np.ndarray


def window_rows(length: int, horizon: int) -> Rows:
    """The windows of an episode of `length` steps; `horizon` is tau."""
    now, ahead = np.arange(length), np.arange(horizon)
    actions = now[:, None] - horizon + ahead
    return Rows(
        past=np.maximum(now - horizon, 0),
        now=now,
        future=np.minimum(now + horizon, length - 1),
        actions=np.where(actions < 0, HOLD, actions),
        labels=np.minimum(now[:, None] + ahead, length - 1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """All windows of a set of demonstrations over shared frames, unnormalised.

    proprio (F, D_p), visual (F, D_v) float32; text (E, D_l) one row an episode.
    past, now, future: (W,) frame numbers. episode: (W,) row of `text`.
    actions (W, tau, N): a_{t-tau:t} as executed. chunks (W, tau, N): a_{t:t+tau} as meant by the expert; both native.
    imitable: (W,) bool, False where any label of the chunk is not worth imitating; such windows still teach dynamics.
    """

    proprio: np.ndarray
    visual: np.ndarray
    text: np.ndarray
    past: np.ndarray
    now: np.ndarray
    future: np.ndarray
    episode: np.ndarray
    actions: np.ndarray
    chunks: np.ndarray
    imitable: np.ndarray

    def __len__(self) -> int:
        return len(self.now)


def visual_vector(episode: EncodedEpisode, cameras: Sequence[str], features: Sequence[str]) -> np.ndarray:
    """v_t of every step, (T, D_v) float32: cameras outside, features inside, as the planner builds it live."""
    return np.concatenate([episode.features[camera, feature] for camera in cameras for feature in features], axis=-1)


def build_windows(
    episodes: Sequence[EncodedEpisode],
    *,
    horizon: int,
    proprio: str,
    cameras: Sequence[str],
    features: Sequence[str],
    action: ActionSpec,
) -> Windows:
    """Windows of all steps of all episodes, in order; proprio: the variant's name.

    Of an episode with rows that have no images of their own, only windows whose past, now and future have some.
    """
    hold = hold_action(action)
    index, episode_of, start = [], [], 0
    actions, chunks, imitable = [], [], []
    for number, episode in enumerate(episodes):
        rows = window_rows(len(episode), horizon)
        looked = np.asarray(episode.image_valid, dtype=bool)
        future = np.minimum(rows.future, np.flatnonzero(looked)[-1])
        whole = looked[rows.past] & looked[rows.now] & looked[future]
        index.append((np.stack([rows.past, rows.now, future]) + start)[:, whole])
        episode_of.append(np.full(whole.sum(), number))
        actions.append(np.vstack([episode.executed, hold])[rows.actions[whole]])  # HOLD is the last row
        chunks.append(episode.expert[rows.labels[whole]])
        imitable.append(np.asarray(episode.label_valid, dtype=bool)[rows.labels[whole]].all(axis=1))
        start += len(episode)
    past, now, future = np.concatenate(index, axis=1)
    return Windows(
        proprio=np.concatenate([proprio_vector(e, proprio) for e in episodes]),
        visual=np.concatenate([visual_vector(e, cameras, features) for e in episodes]),
        text=np.stack([e.text for e in episodes]),
        past=past,
        now=now,
        future=future,
        episode=np.concatenate(episode_of),
        actions=np.concatenate(actions),
        chunks=np.concatenate(chunks),
        imitable=np.concatenate(imitable),
    )


def hold_out(episodes: Sequence[EncodedEpisode], fraction: float) -> list[str]:
    """Keys of the demonstrations held out for validation: `fraction` of each instruction's, at least one where it has two.

    They are spread evenly over an instruction's demonstrations, so that no seed range is favoured.
    """
    by_task: dict[str, list[str]] = {}
    for episode in episodes:
        by_task.setdefault(episode.instruction, []).append(episode.key)
    keys = []
    for names in by_task.values():
        count = max(1, round(fraction * len(names))) if len(names) > 1 and fraction > 0 else 0
        keys += [names[(2 * i + 1) * len(names) // (2 * count)] for i in range(count)]
    return keys
