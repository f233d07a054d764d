"""Networks epsilon_phi of eq. 22, chosen by `policy.denoiser`, behind one signature.

Each is a torch module made from `(dims, config)`, with

    forward: condition (B, W) float32, noisy (B, tau, N) float32, timestep (B,) int64 -> prediction (B, tau, N)

where W is `config.width`. What the prediction means, the clean chunk or the noise, is none of its business.
"""

from __future__ import annotations

from torch import nn

from clad.model.config import Dims, PolicyConfig
from clad.model.denoisers.dit import Dit
from clad.model.denoisers.mlp_resnet import MlpResnet
from clad.model.denoisers.unet1d import Unet1d

KINDS: dict[str, type[nn.Module]] = {"mlp_resnet": MlpResnet, "dit": Dit, "unet1d": Unet1d}


def build_denoiser(dims: Dims, config: PolicyConfig) -> nn.Module:
    """The denoiser of `config.denoiser`, freshly initialised."""
    return KINDS[config.denoiser](dims, config)
