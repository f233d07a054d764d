"""Normalisers from training data, and their JSON form in run and model sidecars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clad.data.windows import Windows
from clad.runtime.normalisers import ActionScaler, Standardiser

PROPRIO_CLIP, VISUAL_CLIP = 5.0, 4.0  # in standard deviations
# below these a dimension hardly moves in the data, and dividing by its spread would turn sensor noise into signal
MIN_PROPRIO_STD, MIN_VISUAL_STD, MIN_ACTION_SPAN = 1e-3, 5e-3, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisers:
    """The three that travel with a model."""

    proprio: Standardiser
    visual: Standardiser
    action: ActionScaler


def fit(windows: Windows) -> Normalisers:
    """Statistics of the training demonstrations: frames for observations, imitable labels for actions."""
    labels = windows.chunks[windows.imitable].reshape(-1, windows.chunks.shape[-1])
    low, high = labels.min(axis=0), labels.max(axis=0)
    return Normalisers(
        proprio=_standardiser(windows.proprio, MIN_PROPRIO_STD, PROPRIO_CLIP),
        visual=_standardiser(windows.visual, MIN_VISUAL_STD, VISUAL_CLIP),
        action=ActionScaler(low=low, high=np.maximum(high, low + MIN_ACTION_SPAN)),
    )


def _standardiser(values: np.ndarray, least: float, clip: float) -> Standardiser:
    mean, std = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    return Standardiser(mean=mean.astype(np.float32), std=np.maximum(std, least).astype(np.float32), clip=clip)


def to_json(normalisers: Normalisers) -> dict:
    """Plain lists, exact: reading them back gives bit-equal arrays."""
    p, v, a = normalisers.proprio, normalisers.visual, normalisers.action
    return {
        "proprio": {"mean": p.mean.tolist(), "std": p.std.tolist(), "clip": p.clip},
        "visual": {"mean": v.mean.tolist(), "std": v.std.tolist(), "clip": v.clip},
        "action": {"low": a.low.tolist(), "high": a.high.tolist()},
    }


def from_json(body: dict) -> Normalisers:
    """The inverse of `to_json`."""

    def standardiser(part: dict) -> Standardiser:
        return Standardiser(
            mean=np.asarray(part["mean"], np.float32), std=np.asarray(part["std"], np.float32), clip=part["clip"]
        )

    return Normalisers(
        proprio=standardiser(body["proprio"]),
        visual=standardiser(body["visual"]),
        action=ActionScaler(
            low=np.asarray(body["action"]["low"], np.float64), high=np.asarray(body["action"]["high"], np.float64)
        ),
    )
