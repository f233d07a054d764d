"""The samplers by the names that configurations and bundles give them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from clad.errors import CladError
from clad.runtime.ddim import Ddim
from clad.runtime.ddpm import Ddpm
from clad.runtime.diffusion import Sampler

SAMPLERS: Mapping[str, type[Sampler]] = MappingProxyType({"ddim": Ddim, "ddpm": Ddpm})


class SamplingSettings(Protocol):
    """What `PolicyConfig` and a bundle's `Diffusion` both say."""

    sampler: str
    train_steps: int
    sample_steps: int
    prediction: str


def make_sampler(settings: SamplingSettings) -> Sampler:
    """The sampler that a configuration or a bundle asks for. Raises CladError for one that does not exist."""
    if settings.sampler not in SAMPLERS:
        raise CladError(f"sampler '{settings.sampler}' is none of {', '.join(SAMPLERS)}", "Export again")
    return SAMPLERS[settings.sampler](
        train_steps=settings.train_steps, sample_steps=settings.sample_steps, prediction=settings.prediction
    )


def make_fusable(settings: SamplingSettings) -> Ddim:
    """The same, for all steps as one network. Raises CladError for a sampler that draws noise on the way."""
    sampler = make_sampler(settings)
    if not isinstance(sampler, Ddim):
        raise CladError(
            f"a {settings.sampler} sampler cannot be fused: it draws noise at every step",
            "Sample step by step, or train and export with policy.sampler=ddim",
        )
    return sampler
