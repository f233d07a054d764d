"""Losses of both stages: equations 17-19 and 22."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

from clad.model.dynamics import Foreseen, LatentDynamics, Observed


class DynamicsLoss(NamedTuple):
    """Scalars. total = latent_proprio + latent_semantic + lambda (recon_proprio + recon_visual)."""

    total: torch.Tensor
    latent_proprio: torch.Tensor
    latent_semantic: torch.Tensor
    recon_proprio: torch.Tensor
    recon_visual: torch.Tensor


def latent_distance(foreseen: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared distance of unit vectors (eq. 17), (B, N, d) each, token by token; mean over tokens and batch, 0 to 4.

    The paper does not say whether a state's tokens are normalised together or one by one; one by one lets no token
    hide behind the others.
    """
    return (F.normalize(foreseen, dim=-1) - F.normalize(target, dim=-1)).square().sum(-1).mean()


def dynamics_loss(model: LatentDynamics, foreseen: Foreseen, target: Foreseen, future: Observed) -> DynamicsLoss:
    """L = L_latent + lambda L_recon (eqs 17-19); `target` from the EMA encoders, `future` the standardised t+tau.

    Reconstruction errors are means over the vector, so that lambda does not depend on its length.
    """
    latent_proprio = latent_distance(foreseen.proprio, target.proprio)
    latent_semantic = latent_distance(foreseen.semantic, target.semantic)
    recon_proprio = (model.decode_proprio(foreseen.proprio) - future.proprio).abs().mean()
    recon_visual = (model.decode_visual(foreseen.semantic) - future.visual).abs().mean()
    total = latent_proprio + latent_semantic + model.config.recon_weight * (recon_proprio + recon_visual)
    return DynamicsLoss(total, latent_proprio, latent_semantic, recon_proprio, recon_visual)


def persistence_loss(
    now: Foreseen, target: Foreseen, seen: Observed, future: Observed, recon_weight: float
) -> torch.Tensor:
    """The same loss for the forecast that nothing changes: what a planner must beat for its foresight to mean anything.

    now, target: EMA encodings of t and t+tau. It also says how far the embedding space moves in tau steps, so that
    the ratio to it stays comparable while the target encoders drift.
    """
    latent = latent_distance(now.proprio, target.proprio) + latent_distance(now.semantic, target.semantic)
    recon = (seen.proprio - future.proprio).abs().mean() + (seen.visual - future.visual).abs().mean()
    return latent + recon_weight * recon


def embedding_spread(tokens: torch.Tensor) -> torch.Tensor:
    """Standard deviation of unit-length embeddings over the batch, times sqrt(d): about 1 when spread out, 0 collapsed."""
    return F.normalize(tokens, dim=-1).std(0).mean() * tokens.shape[-1] ** 0.5


def denoising_loss(prediction: torch.Tensor, chunk: torch.Tensor, noise: torch.Tensor, predicts: str) -> torch.Tensor:
    """Mean squared error of the predicted noise (eq. 22) or, for 'sample', of the clean chunk; all (B, tau, N)."""
    return F.mse_loss(prediction, chunk if predicts == "sample" else noise)
