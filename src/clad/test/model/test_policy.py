"""Equations 20-22 against an independent float64 computation; the noise schedule against diffusers."""

import equations
import numpy as np
import pytest
import torch

from clad.model.config import FORESIGHTS, Dims, PlannerConfig, PolicyConfig
from clad.model.dynamics import Foreseen, Observed
from clad.model.policy import DiffusionPolicy
from clad.model.schedule import NoiseSchedule

DIMS = Dims(proprio=5, visual=6, text=4, action=3, horizon=4)
PLANNER = PlannerConfig(width=8, proprio_tokens=2, semantic_tokens=3, hidden=10, heads=2)


def build(foresight: str = "both") -> DiffusionPolicy:
    torch.manual_seed(0)
    config = PolicyConfig(foresight=foresight, observation=7, width=12, blocks=2, time_features=6, execute_steps=2)
    model = DiffusionPolicy(DIMS, PLANNER, config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def values(batch: int = 3):
    rng = np.random.default_rng(0)
    shapes = [(DIMS.proprio,), (DIMS.visual,), (DIMS.text,), (2, 8), (3, 8)]
    p, v, text, z_p, z_s = (torch.from_numpy(rng.standard_normal((batch, *s)).astype(np.float32)) for s in shapes)
    return Observed(p, v), text, Foreseen(z_p, z_s)


@pytest.mark.parametrize("foresight", FORESIGHTS)
def test_equations_20_and_21(foresight):
    model = build(foresight)
    seen, text, foreseen = values()
    with torch.no_grad():
        got = model.condition(seen, text, None if foresight == "none" else foreseen)
    for i in range(3):
        expected = equations.condition(
            model.condition,
            [x[i].double().numpy() for x in seen],
            text[i].double().numpy(),
            [z[i].double().numpy() for z in foreseen],
        )
        np.testing.assert_allclose(got[i].numpy(), expected, atol=2e-5)


@pytest.mark.parametrize(("foresight", "proprio", "semantic"), [("both", 1, 1), ("proprio", 1, 0), ("semantic", 0, 1)])
def test_a_variant_uses_its_foresight_only(foresight, proprio, semantic):
    model = build(foresight)
    seen, text, foreseen = values()
    before = model.condition(seen, text, foreseen)
    for used, changed in (
        (proprio, foreseen._replace(proprio=torch.randn(3, 2, 8))),
        (semantic, foreseen._replace(semantic=torch.randn(3, 3, 8))),
    ):
        assert torch.equal(before, model.condition(seen, text, changed)) != bool(used)


def test_foresight_scale_does_not_matter():
    """Eq. 17 trains directions only, so a policy must not depend on lengths."""
    model = build()
    seen, text, foreseen = values()
    longer = Foreseen(foreseen.proprio * 50, foreseen.semantic * 50)
    torch.testing.assert_close(
        model.condition(seen, text, foreseen), model.condition(seen, text, longer), atol=1e-3, rtol=1e-3
    )


def test_denoiser():
    model = build().denoiser
    told, noisy, step = torch.randn(3, 12), torch.randn(3, DIMS.horizon, DIMS.action), torch.tensor([0, 41, 99])
    with torch.no_grad():
        got = model(told, noisy, step)
    for i in range(3):
        expected = equations.denoise(model, told[i].double().numpy(), noisy[i].double().numpy(), int(step[i]))
        np.testing.assert_allclose(got[i].numpy(), expected, atol=1e-4)


def test_forward_process_equals_diffusers():
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    clean, noise, step = torch.randn(100, 6, 7), torch.randn(100, 6, 7), torch.arange(100)
    ours = NoiseSchedule(100).add_noise(clean, noise, step)
    torch.testing.assert_close(ours, theirs.add_noise(clean, noise, step), atol=1e-6, rtol=0)
