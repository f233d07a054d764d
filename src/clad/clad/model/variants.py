"""Named variants: what each changes of a preset. docs/variants.md has the table with the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One change of a preset.

    changes: section -> key -> value. paper: the success rate on LIBERO-LONG in per cent that the paper reports, None
    where it reports none. about: in words.
    """

    changes: Mapping[str, Mapping[str, Any]]
    about: str
    paper: float | None = None


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "clad": Variant(changes={}, paper=94.7, about="the method itself: the preset as it is"),
        "policy-only": Variant(
            changes={"policy": {"foresight": "none"}}, paper=84.8, about="no planner; the observation alone conditions"
        ),
        "p-foresight": Variant(
            changes={"policy": {"foresight": "proprio"}}, paper=50.4, about="the policy gets the proprio foresight only"
        ),
        "s-foresight": Variant(
            changes={"policy": {"foresight": "semantic"}},
            paper=91.5,
            about="the policy gets the semantic foresight only",
        ),
        "no-recon": Variant(
            changes={"planner": {"recon_weight": 0.0}}, paper=86.1, about="no reconstruction loss (eq. 18)"
        ),
        "symmetric": Variant(
            changes={"planner": {"attention": "symmetric"}}, paper=86.7, about="self-attention over both transitions"
        ),
        "semantics-query-proprio": Variant(
            changes={"planner": {"attention": "semantic_queries_proprio"}},
            paper=93.8,
            about="eq. 9 the other way round",
        ),
        "heavy-mask": Variant(
            changes={"planner": {"mask_ratio": 0.9}}, paper=88.2, about="nine of ten action tokens are masked"
        ),
        "action-free": Variant(
            changes={"planner": {"use_actions": False}}, paper=90.8, about="every action token is masked, always"
        ),
        "curriculum": Variant(
            changes={"planner": {"action_free_until": 0.5, "mask_ratio": 0.9}},
            paper=85.1,
            about="action-free for the first half of the steps, then masked as heavy-mask is",
        ),
        "lbp": Variant(
            changes={"planner": {"kind": "lbp", "proprio_tokens": 1}, "policy": {"foresight": "semantic"}},
            paper=88.6,
            about="baseline: latent backward planning, from the final goal back to the present",
        ),
        "dit": Variant(changes={"policy": {"denoiser": "dit"}}, about="a diffusion transformer denoises"),
        "unet1d": Variant(changes={"policy": {"denoiser": "unet1d"}}, about="a conditional 1-D U-Net denoises"),
        "ddpm": Variant(changes={"policy": {"sampler": "ddpm"}}, about="ancestral sampling, noise at every step"),
        "joint14": Variant(changes={"data": {"proprio": "joint14"}}, about="p_t without the gripper"),
        "joint16": Variant(changes={"data": {"proprio": "joint16"}}, about="p_t of joints and gripper"),
        "ee9": Variant(changes={"data": {"proprio": "ee9"}}, about="p_t of gripper and end-effector pose"),
        "one-camera": Variant(changes={"data": {"cameras": ("agentview",)}}, about="no wrist camera"),
    }
)
