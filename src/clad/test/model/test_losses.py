"""Equations 17-19 and 22 against loops, and what the monitors say."""

import numpy as np
import pytest
import torch
from equations import PLANNER_DIMS as DIMS
from equations import planner_inputs as inputs
from equations import run_planner as foresee
from equations import tiny_planner as build

from clad.model.dynamics import Foreseen, Observed
from clad.model.losses import denoising_loss, dynamics_loss, embedding_spread, latent_distance, persistence_loss


def test_equations_17_to_19():
    model, values = build(recon_weight=0.3).eval(), inputs()
    foreseen = foresee(model, values)
    rng = np.random.default_rng(2)
    target = Foreseen(*(torch.from_numpy(rng.standard_normal(z.shape).astype(np.float32)) for z in foreseen))
    future = Observed(torch.randn(3, DIMS.proprio), torch.randn(3, DIMS.visual))
    loss = dynamics_loss(model, foreseen, target, future)
    latent = []
    for got, wanted in zip(foreseen, target, strict=True):
        total, count = 0.0, 0
        for sample in range(got.shape[0]):
            for token in range(got.shape[1]):
                a, b = got[sample, token].detach().double().numpy(), wanted[sample, token].double().numpy()
                total += float(((a / np.linalg.norm(a) - b / np.linalg.norm(b)) ** 2).sum())
                count += 1
        latent.append(total / count)
    recon = [
        np.abs(model.decode_proprio(foreseen.proprio).detach().numpy() - future.proprio.numpy()).mean(),
        np.abs(model.decode_visual(foreseen.semantic).detach().numpy() - future.visual.numpy()).mean(),
    ]
    assert loss.latent_proprio.item() == pytest.approx(latent[0], rel=1e-5)
    assert loss.latent_semantic.item() == pytest.approx(latent[1], rel=1e-5)
    assert loss.recon_proprio.item() == pytest.approx(recon[0], rel=1e-5)
    assert loss.recon_visual.item() == pytest.approx(recon[1], rel=1e-5)
    assert loss.total.item() == pytest.approx(sum(latent) + 0.3 * sum(recon), rel=1e-5)


def test_latent_distance_knows_directions_only():
    z = torch.randn(4, 3, 8)
    assert latent_distance(z, 7 * z).item() == pytest.approx(0, abs=1e-6)
    assert latent_distance(z, -z).item() == pytest.approx(4, abs=1e-5)


def test_persistence_is_the_loss_of_forecasting_no_change():
    now, later = (Foreseen(torch.randn(5, 2, 8), torch.randn(5, 2, 8)) for _ in range(2))
    seen, future = (Observed(torch.randn(5, 3), torch.randn(5, 4)) for _ in range(2))
    assert persistence_loss(now, now, seen, seen, 0.5).item() == pytest.approx(0, abs=1e-6)
    expected = (
        latent_distance(now.proprio, later.proprio)
        + latent_distance(now.semantic, later.semantic)
        + 0.5 * ((seen.proprio - future.proprio).abs().mean() + (seen.visual - future.visual).abs().mean())
    )
    assert persistence_loss(now, later, seen, future, 0.5).item() == pytest.approx(expected.item())


def test_spread_tells_a_collapse():
    assert embedding_spread(torch.randn(500, 4, 64)).item() == pytest.approx(1, abs=0.05)
    assert embedding_spread(torch.randn(1, 4, 64).expand(500, -1, -1)).item() < 1e-3


def test_equation_22():
    prediction, chunk, noise = (torch.randn(2, 3, 4) for _ in range(3))
    for predicts, wanted in (("epsilon", noise), ("sample", chunk)):
        total = sum((float(prediction.flatten()[i]) - float(wanted.flatten()[i])) ** 2 for i in range(24)) / 24
        assert denoising_loss(prediction, chunk, noise, predicts).item() == pytest.approx(total, rel=1e-5)
