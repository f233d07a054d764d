"""Real-time chunking (Black et al. 2025): a new chunk continues the one that acts while it is being made.

By the time that a chunk made from an observation acts, the steps up to then have been executed from the chunk before.
Those steps are frozen; the later steps of the old chunk pull on the new one, less and less (`soft_mask`, equation 5
there). The paper steers a flow by the gradient of its network. A diffusion sampler with few DDIM steps and a network
without a gradient at run time takes the same mask by inpainting: at every sampling step the network's clean sample x0 is
replaced by mask * old + (1 - mask) * x0, so that what the network sees next already contains the frozen steps at that
step's noise level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clad.runtime.diffusion import ONE, root
from clad.runtime.execution.latency import LatencyModel
from clad.runtime.types import Chunk

Denoise = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What acts from an observation on, until a chunk made from it arrives.

    values: (K, N) wire units, the rest of the chunk before; row 0 is due at the observation. frozen: its first rows that
    will have been executed by then, at most K.
    """

    values: np.ndarray
    frozen: int


def carry_over(previous: Chunk, step: int, frozen: int) -> Committed | None:
    """The rest of `previous` from control step `step` on; None when nothing of it is left or nothing is frozen.

    Without latency (frozen = 0) a chunk continues nothing: it stays a function of its foresight alone.
    """
    rest = previous.values[step - previous.step :] if step >= previous.step else previous.values[:0]
    return Committed(values=rest, frozen=min(frozen, len(rest))) if frozen > 0 and len(rest) else None


def soft_mask(frozen: int, overlap: int, horizon: int) -> np.ndarray:
    """(horizon,) float32 weights of the old chunk: 1 for the frozen steps, falling to 0 at the end of the overlap.

    W_i = c_i (exp(c_i) - 1) / (e - 1) with c_i = (overlap - i) / (overlap - frozen + 1) for frozen <= i < overlap.
    """
    i = np.arange(horizon)
    c = np.clip((overlap - i) / (overlap - frozen + 1), 0.0, 1.0)
    return np.where(i < frozen, 1.0, c * np.expm1(c) / np.expm1(1.0)).astype(np.float32)


def action_mask(frozen: int, overlap: int, shape: tuple[int, int], gripper_index: int) -> np.ndarray:
    """(H, N) = `shape`: the soft mask for every channel but the gripper's, which is frozen or free: it is never averaged."""
    mask = np.repeat(soft_mask(frozen, overlap, shape[0])[:, None], shape[1], axis=1)
    mask[frozen:, gripper_index] = 0.0
    return mask


def inpainted(denoise: Denoise, known: np.ndarray, mask: np.ndarray, alphas_bar: np.ndarray | None = None) -> Denoise:
    """The network with its clean sample pulled towards `known` by `mask`, for any sampler that calls it.

    known: (..., H, N) scaled actions; mask: (H, N). alphas_bar: (train_steps,) the schedule, for a network that predicts
    the noise; None for one that predicts the sample.
    """

    def masked(x: np.ndarray, timestep: int) -> np.ndarray:
        prediction = denoise(x, timestep)
        if alphas_bar is None:
            return mask * known + (1 - mask) * np.clip(prediction, -1.0, 1.0)
        signal, noise = root(alphas_bar[timestep]), root(ONE - alphas_bar[timestep])
        sample = np.clip((x - noise * prediction) / signal, -1.0, 1.0)
        return (x - signal * (mask * known + (1 - mask) * sample)) / noise

    return masked


def carried_on(previous: Chunk, step: int) -> np.ndarray | None:
    """A guess at the chunk of control step `step` from an earlier one, for a warm start: (H, N) wire units.

    The rest of `previous`, its last action repeated for the steps that it does not reach; None when nothing is left.
    """
    passed = step - previous.step
    if not 0 < passed < len(previous.values):
        return None
    return np.concatenate([previous.values[passed:], np.repeat(previous.values[-1:], passed, axis=0)])


class Continuation:
    """What is remembered of an episode for its next chunk: the last chunks, and how late chunks come to act."""

    def __init__(self, step_dt: int, latency: LatencyModel) -> None:
        """step_dt: what one control step lasts, ns. latency: measured by the caller, whose "total" is used."""
        self._step_dt, self._latency = step_dt, latency
        self._episode = -1
        self._last: Chunk | None = None
        self._before: Chunk | None = None  # the last one of an earlier observation than `_last`

    def committed(self, episode: int, step: int) -> Committed | None:
        """What acts from `step` of an episode on; None for its first chunk, and while no latency is known."""
        if episode != self._episode or self._last is None:
            return None
        return carry_over(self._last, step, self._latency.steps(self._step_dt))

    def previous(self, episode: int, step: int) -> Chunk | None:
        """The last chunk that was made of an observation before `step`: the same one when a chunk is made again."""
        known = (self._last, self._before) if episode == self._episode else ()
        return next((chunk for chunk in known if chunk is not None and chunk.step < step), None)

    def made(self, episode: int, chunk: Chunk) -> None:
        """Remember the chunk that was published last. What follows in another episode continues nothing."""
        if episode != self._episode:
            self._last = None
        if self._last is None or self._last.step != chunk.step:
            self._before = self._last
        self._episode, self._last = episode, chunk
