"""The figures that the monitor told while the graph ran, as they stand in a bag, and whether the bag itself says the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from clad.bag.figures import EpisodeFigures

EPISODE_FIGURES = "/episode_figures"


def as_told(figures: EpisodeFigures) -> dict[str, str]:
    """Each field's value as JSON, which keeps every bit of a number."""
    return {name: json.dumps(value) for name, value in asdict(figures).items()}


def disagreements(told: Mapping[str, str], figures: EpisodeFigures) -> list[str]:
    """Names of the figures that differ in any bit between what was told live and what a bag gives; empty: live is bag.

    A figure that only one of the two has counts: they were then computed by different versions.
    """
    found = as_told(figures)
    return [
        name
        for name in {**found, **told}
        if name not in found or name not in told or json.loads(told[name]) != json.loads(found[name])
    ]
