"""Equations 5-16 against an independent float64 computation, and the rules of training them."""

import equations
import numpy as np
import pytest
import torch
from equations import PLANNER_DIMS as DIMS
from equations import planner_inputs as inputs
from equations import run_planner as foresee
from equations import tiny_planner as build
from hypothesis import given, settings
from hypothesis import strategies as st

from clad.model.config import ATTENTIONS
from clad.model.dynamics import Observed, TargetEncoders


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("use_actions", [True, False])
def test_equations_5_to_13(attention, use_actions):
    model = build(attention=attention, use_actions=use_actions).eval()
    values = inputs()
    with torch.no_grad():
        got = foresee(model, values)
    assert got.proprio.shape == (3, 2, 8) and got.semantic.shape == (3, 3, 8)
    for i in range(3):
        p0, v0, p1, v1, text, actions = (v[i].double().numpy() for v in values)
        z_p, z_s = equations.foresee(model, (p0, v0), (p1, v1), text, actions)
        np.testing.assert_allclose(got.proprio[i].numpy(), z_p, atol=2e-5)
        np.testing.assert_allclose(got.semantic[i].numpy(), z_s, atol=2e-5)
        np.testing.assert_allclose(
            model.decode_proprio(got.proprio)[i].detach().numpy(),
            equations.mlp(model.decode_proprio_head, z_p.ravel()),
            atol=2e-5,
        )
        np.testing.assert_allclose(
            model.decode_visual(got.semantic)[i].detach().numpy(),
            equations.mlp(model.decode_visual_head, z_s.ravel()),
            atol=2e-5,
        )


def test_every_input_matters():
    model, values = build().eval(), inputs(1)
    before = foresee(model, values)
    for number in range(len(values)):
        changed = [v + 1.0 if n == number else v for n, v in enumerate(values)]
        after = foresee(model, changed)
        assert (after.proprio - before.proprio).abs().max() > 1e-4, number


def test_action_free_model_ignores_actions():
    model, values = build(use_actions=False).eval(), inputs(1)
    a, b = foresee(model, values), foresee(model, [*values[:-1], values[-1] + 5])
    assert torch.equal(a.proprio, b.proprio) and torch.equal(a.semantic, b.semantic)


@settings(max_examples=8, deadline=None)
@given(st.floats(0.0, 1.0))
def test_mask_ratio(ratio):
    model = build().train()
    torch.manual_seed(1)
    tokens = model.action_tokens(torch.randn(2000, DIMS.horizon, DIMS.action), ratio)
    mask = (tokens - model.action_position - model.mask_token).abs().amax(-1) < 1e-6
    assert mask.float().mean().item() == pytest.approx(ratio, abs=0.03)
    assert (
        not (model.action_tokens(torch.randn(50, DIMS.horizon, DIMS.action)) - model.action_position - model.mask_token)
        .abs()
        .amax(-1)
        .lt(1e-6)
        .any()
    ), "nothing is masked at run time"


@settings(max_examples=10, deadline=None)
@given(st.floats(0.0, 0.999), st.integers(1, 4))
def test_equation_14(momentum, updates):
    model = build()
    target = TargetEncoders(model.encoders)
    expected = {n: p.detach().double().clone() for n, p in target.encoders.named_parameters()}
    for i in range(updates):
        with torch.no_grad():
            for parameter in model.encoders.parameters():
                parameter.add_(0.1 * (i + 1))
        target.update(model.encoders, momentum)
        for name, parameter in model.encoders.named_parameters():
            expected[name] = momentum * expected[name] + (1 - momentum) * parameter.detach().double()
    for name, parameter in target.encoders.named_parameters():
        np.testing.assert_allclose(parameter.numpy(), expected[name].numpy(), atol=1e-5)


def test_targets_have_no_gradient_and_no_dropout():
    model = build(dropout=0.5).train()
    target = TargetEncoders(model.encoders)
    p0, v0, *_, text, _ = inputs()
    a = target(Observed(p0, v0), text)  # as the training loop has it: in the mode it was made in
    b = target.train()(Observed(p0, v0), text)
    assert not a.proprio.requires_grad and not any(p.requires_grad for p in target.parameters())
    assert torch.equal(a.semantic, b.semantic), "dropout is off in the target"
    online = model.encoders(Observed(p0, v0), text)
    assert online.semantic.requires_grad and not torch.equal(
        online.semantic, model.encoders(Observed(p0, v0), text).semantic
    )


def test_targets_start_as_the_encoders():
    model = build().eval()
    p0, v0, *_, text, _ = inputs()
    a, b = TargetEncoders(model.encoders)(Observed(p0, v0), text), model.encoders(Observed(p0, v0), text)
    assert torch.equal(a.proprio, b.proprio) and torch.equal(a.semantic, b.semantic)
