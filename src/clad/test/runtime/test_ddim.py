"""The numpy sampler against diffusers' own."""

import numpy as np
import pytest

from clad.errors import CladError
from clad.runtime.ddim import Ddim, alphas_bar

SHAPE = (1, 6, 7)


def network(x, t):
    """A fixed nonlinear 'denoiser' that depends on every entry and on the time step."""
    weights = np.random.default_rng(0).standard_normal((42, 42)).astype(np.float32) * np.float32(0.3)
    return (np.tanh(x.reshape(-1, 42) @ weights) * np.float32(1 + t / 100)).reshape(x.shape)


def sample_with_diffusers(train_steps, sample_steps, prediction, noise):
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDIMScheduler(
        num_train_timesteps=train_steps, beta_schedule="squaredcos_cap_v2", clip_sample=True, prediction_type=prediction
    )
    scheduler.set_timesteps(sample_steps)
    x = torch.from_numpy(noise.copy())
    for t in scheduler.timesteps:
        x = scheduler.step(torch.from_numpy(network(x.numpy(), int(t))), t, x).prev_sample
    return x.numpy(), scheduler


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize(("train_steps", "sample_steps"), [(100, 10), (50, 5), (100, 33), (1000, 7), (100, 1)])
def test_bit_equal_to_diffusers(train_steps, sample_steps, prediction):
    noise = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    expected, scheduler = sample_with_diffusers(train_steps, sample_steps, prediction, noise)
    sampler = Ddim(train_steps=train_steps, sample_steps=sample_steps, prediction=prediction)
    found = sampler(network, noise)
    assert sampler.timesteps == scheduler.timesteps.tolist()
    assert np.array_equal(alphas_bar(train_steps), scheduler.alphas_cumprod.numpy())
    assert found.dtype == np.float32 and np.array_equal(found, expected)


def test_every_step_stays_close_where_torch_rounds_roots_otherwise():
    noise = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    expected, _ = sample_with_diffusers(100, 100, "sample", noise)
    found = Ddim(train_steps=100, sample_steps=100, prediction="sample")(network, noise)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_perfect_denoiser_is_recovered_exactly():
    target = np.linspace(-0.9, 0.9, 42, dtype=np.float32).reshape(SHAPE)
    noise = np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)
    sampler = Ddim(train_steps=100, sample_steps=10, prediction="sample")
    assert np.array_equal(sampler(lambda x, t: target, noise), target)


def test_the_sample_is_clipped():
    noise = np.zeros(SHAPE, dtype=np.float32)
    sampler = Ddim(train_steps=100, sample_steps=10, prediction="sample")
    assert np.array_equal(sampler(lambda x, t: np.full(SHAPE, 3, np.float32), noise), np.ones(SHAPE))


@pytest.mark.parametrize("bad", [{"prediction": "v_prediction"}, {"sample_steps": 0}, {"sample_steps": 101}])
def test_what_cannot_be_sampled_is_refused(bad):
    with pytest.raises(CladError):
        Ddim(**{"train_steps": 100, "sample_steps": 10, "prediction": "sample", **bad})
