"""Windows as standardised tensors: what both training loops draw their batches from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from clad.data.statistics import Normalisers
from clad.data.windows import Windows
from clad.model.backward import goal_rows
from clad.model.dynamics import Observed


class Batch(NamedTuple):
    """B windows, standardised. text (B, D_l); actions, chunk (B, tau, N) in [-1, 1]: a_{t-tau:t} and a_{t:t+tau}.

    windows (B,): their numbers.
    """

    past: Observed
    now: Observed
    future: Observed
    text: torch.Tensor
    actions: torch.Tensor
    chunk: torch.Tensor
    windows: torch.Tensor


class WindowTensors:
    """A set of windows on one device; frames are stored once and gathered by number.

    blind: every visual vector is zero, the same blindness as at run time.
    """

    def __init__(self, windows: Windows, normalisers: Normalisers, *, blind: bool, device: torch.device) -> None:
        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        visual = normalisers.visual(windows.visual)
        self._proprio = tensor(normalisers.proprio(windows.proprio))
        self._visual = tensor(np.zeros_like(visual) if blind else visual)
        self._text = tensor(windows.text)
        self._rows = {name: tensor(getattr(windows, name)) for name in ("past", "now", "future", "episode")}
        last = np.zeros(len(windows.text), dtype=np.int64)
        np.maximum.at(last, windows.episode, windows.future)
        self._last = tensor(last)
        self._actions = tensor(normalisers.action(windows.actions))
        self._chunks = tensor(normalisers.action(windows.chunks))
        self._device = device
        self.all = tensor(np.arange(len(windows)))
        self.imitable = tensor(np.flatnonzero(windows.imitable))

    def draw(self, among: torch.Tensor, count: int) -> Batch:
        """`count` windows drawn with replacement among the given numbers, from torch's global random state."""
        return self.take(among[torch.randint(len(among), (count,)).to(self._device)])

    def take(self, windows: torch.Tensor) -> Batch:
        """The windows with these numbers (B,)."""
        past, now, future, episode = (self._rows[name][windows] for name in ("past", "now", "future", "episode"))
        return Batch(
            past=self._observed(past),
            now=self._observed(now),
            future=self._observed(future),
            text=self._text[episode],
            actions=self._actions[windows],
            chunk=self._chunks[windows],
            windows=windows,
        )

    def goals(self, windows: torch.Tensor, subgoals: int) -> torch.Tensor:
        """Standardised visual embeddings (B, 1 + subgoals, D_v) of the demonstrations' ends and, halving the way from
        there back to now, of the frames between."""
        now, episode = self._rows["now"][windows], self._rows["episode"][windows]
        return self._visual[goal_rows(now, self._last[episode], subgoals)]

    def _observed(self, frames: torch.Tensor) -> Observed:
        return Observed(self._proprio[frames], self._visual[frames])


def with_noise(seen: Observed, std: float, *, blind: bool) -> Observed:
    """Gaussian noise on a standardised observation: keeps a model trained on few demonstrations from memorising them.

    A blind model's visual vector stays exactly zero.
    """
    if std == 0:
        return seen
    visual = seen.visual if blind else seen.visual + std * torch.randn_like(seen.visual)
    return Observed(seen.proprio + std * torch.randn_like(seen.proprio), visual)
