"""The numpy samplers against diffusers' own schedulers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clad.errors import CladError
from clad.runtime import diffusion
from clad.runtime.diffusion import alphas_bar
from clad.runtime.samplers import SAMPLERS, make_fusable, make_sampler

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

SHAPE = (1, 6, 7)
PAIRS = [(100, 10), (100, 33), (100, 1), (50, 5), (25, 25), (100, 100), (1000, 7), (1000, 10), (1000, 1000), (1, 1)]
SCHEDULERS = {"ddim": diffusers.DDIMScheduler, "ddpm": diffusers.DDPMScheduler}
WEIGHTS = np.random.default_rng(0).standard_normal((42, 42)).astype(np.float32) * np.float32(0.3)


def network(x, t):
    """A fixed nonlinear 'denoiser' that depends on every entry and on the time step."""
    return (np.tanh(x.reshape(-1, 42) @ WEIGHTS) * np.float32(1 + t / 100)).reshape(x.shape)


def make(name, train_steps=100, sample_steps=10, prediction="sample"):
    return SAMPLERS[name](train_steps=train_steps, sample_steps=sample_steps, prediction=prediction)


def draw(sampler, seed=1):
    return np.random.default_rng(seed).standard_normal((sampler.draws, *SHAPE)).astype(np.float32)


def sample_with_diffusers(name, train_steps, sample_steps, prediction, noise):
    """What diffusers makes of the same noise, and the time steps it visits. Its DDPM draws are replaced by ours."""
    scheduler = SCHEDULERS[name](
        num_train_timesteps=train_steps, beta_schedule="squaredcos_cap_v2", clip_sample=True, prediction_type=prediction
    )
    assert np.array_equal(alphas_bar(train_steps), scheduler.alphas_cumprod.numpy())
    scheduler.set_timesteps(sample_steps)
    draws = iter(torch.from_numpy(noise))
    x = next(draws)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[SCHEDULERS["ddpm"].__module__], "randn_tensor", lambda *_, **__: next(draws))
        for t in scheduler.timesteps:
            x = scheduler.step(torch.from_numpy(network(x.numpy(), int(t))), t, x).prev_sample
    assert next(draws, None) is None, "every draw is used"
    return x.numpy(), scheduler.timesteps.tolist()


def torch_root(value):
    return np.float32(torch.tensor(value).sqrt().item())


def assert_bit_equal(name, train_steps, sample_steps, prediction):
    sampler = make(name, train_steps, sample_steps, prediction)
    noise = draw(sampler)
    expected, timesteps = sample_with_diffusers(name, train_steps, sample_steps, prediction, noise)
    found = sampler(network, noise)
    assert sampler.timesteps == timesteps
    assert found.dtype == np.float32 and np.array_equal(found, expected), np.abs(found - expected).max()


@pytest.mark.parametrize("prediction", diffusion.PREDICTIONS)
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(("train_steps", "sample_steps"), PAIRS)
def test_bit_equal_to_diffusers_given_the_same_roots(monkeypatch, name, train_steps, sample_steps, prediction):
    """On any CPU, whatever its torch makes of square roots."""
    monkeypatch.setattr(diffusion, "root", torch_root)
    assert_bit_equal(name, train_steps, sample_steps, prediction)


def test_bit_equal_to_diffusers_where_its_roots_are_correct():
    """As shipped, against diffusers as it is: MKL's AVX2 code rounds roots correctly, its choice on AVX-512 does not."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "MKL_ENABLE_INSTRUCTIONS": "AVX2", "PYTHONPATH": path}
    found = subprocess.run(
        [sys.executable, "-c", "import test_samplers; test_samplers.compare_everything()"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if "roots differ" in found.stdout:
        pytest.skip("this CPU's torch has no correctly rounded float32 roots, even when AVX2 is asked for")
    assert found.returncode == 0, found.stderr


def compare_everything():
    """In a process of its own, since MKL chooses its code once."""
    values = np.concatenate([f(alphas_bar(t)) for t, _ in PAIRS for f in (np.asarray, lambda a: 1 - a)])
    if not np.array_equal(torch.from_numpy(values).sqrt().numpy(), np.sqrt(values)):
        print("roots differ")
        return
    for name in SAMPLERS:
        for pair in PAIRS:
            for prediction in diffusion.PREDICTIONS:
                assert_bit_equal(name, *pair, prediction)


def test_roots_are_the_nearest_float32():
    """Closer to the true root than either neighbour, from float64."""
    for train_steps in (25, 100, 1000):
        ab = alphas_bar(train_steps)
        values = np.concatenate([ab, np.float32(1) - ab])
        found, exact = diffusion.root(values), np.sqrt(values.astype(np.float64))
        assert found.dtype == np.float32
        for neighbour in (np.nextafter(found, np.float32(0)), np.nextafter(found, np.float32(2))):
            assert (np.abs(found - exact) < np.abs(neighbour - exact)).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_perfect_denoiser_is_recovered_exactly(name):
    target = np.linspace(-0.9, 0.9, 42, dtype=np.float32).reshape(SHAPE)
    sampler = make(name)
    assert np.array_equal(sampler(lambda x, t: target, draw(sampler)), target)


@pytest.mark.parametrize("prediction", diffusion.PREDICTIONS)
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("sample_steps", [2, 5, 10])
def test_a_warm_start_is_diffusers_add_noise_and_the_second_half_of_its_steps(
    monkeypatch, name, sample_steps, prediction
):
    monkeypatch.setattr(diffusion, "root", torch_root)
    sampler = make(name, 100, sample_steps, prediction)
    noise, near = draw(sampler), np.linspace(-0.9, 0.9, 42, dtype=np.float32).reshape(SHAPE)
    scheduler = SCHEDULERS[name](
        num_train_timesteps=100, beta_schedule="squaredcos_cap_v2", clip_sample=True, prediction_type=prediction
    )
    scheduler.set_timesteps(sample_steps)
    skipped = sample_steps // 2
    visited = scheduler.timesteps[skipped:]
    x = scheduler.add_noise(torch.from_numpy(near), torch.from_numpy(noise[0]), visited[:1])
    draws = iter(torch.from_numpy(noise[1 + skipped :]))
    monkeypatch.setattr(sys.modules[SCHEDULERS["ddpm"].__module__], "randn_tensor", lambda *_, **__: next(draws))
    for t in visited:
        x = scheduler.step(torch.from_numpy(network(x.numpy(), int(t))), t, x).prev_sample
    seen = []
    found = sampler(lambda x, t: seen.append(t) or network(x, t), noise, near)
    assert seen == visited.tolist() and len(seen) == sample_steps - skipped
    np.testing.assert_allclose(found, x.numpy(), rtol=0, atol=1e-6)
    assert not np.array_equal(found, sampler(network, noise))


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_sample_is_clipped(name):
    sampler = make(name)
    assert np.array_equal(sampler(lambda x, t: np.full(SHAPE, 3, np.float32), draw(sampler)), np.ones(SHAPE))


def test_samples_of_the_best_denoiser_have_the_data_s_distribution():
    """The closed form for N(0.3, 0.1^2), every step taken: both samplers end at that mean and spread."""
    mean, variance, ab = 0.3, 0.01, alphas_bar(1000).astype(np.float64)

    def denoise(x, t):
        gain = np.sqrt(ab[t]) * variance / (ab[t] * variance + 1 - ab[t])
        return (mean + gain * (x - np.sqrt(ab[t]) * mean)).astype(np.float32)

    for name in SAMPLERS:
        sampler = make(name, 1000, 1000)
        noise = np.random.default_rng(0).standard_normal((sampler.draws, 5000)).astype(np.float32)
        found = sampler(denoise, noise)
        assert found.mean() == pytest.approx(mean, abs=0.005)
        assert found.std() == pytest.approx(0.1, rel=0.05)
    without = sampler(denoise, np.concatenate([noise[:1], 0 * noise[1:]]))
    assert without.std() < 0.05, "DDPM's spread comes from the noise that it adds"


def test_a_chunk_is_a_function_of_all_its_noise_and_nothing_else():
    sampler = make("ddpm", 100, 4)
    noise = draw(sampler)
    first = sampler(network, noise)
    assert sampler.draws == 4 and np.array_equal(first, sampler(network, noise))
    for number in range(4):
        changed = noise.copy()
        changed[number] += 0.1
        assert not np.array_equal(first, sampler(network, changed))
    with pytest.raises(ValueError, match="1 arrays of noise where this sampler takes 4"):
        sampler(network, noise[:1])


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("bad", [{"prediction": "v_prediction"}, {"sample_steps": 0}, {"sample_steps": 101}])
def test_what_cannot_be_sampled_is_refused(name, bad):
    with pytest.raises(CladError):
        make(name, **bad)


def test_samplers_by_name():
    from clad.model.config import PolicyConfig

    for name, kind in SAMPLERS.items():
        assert type(make_sampler(PolicyConfig(sampler=name))) is kind
    assert make_fusable(PolicyConfig()).timesteps[0] == 90
    with pytest.raises(CladError, match="a ddpm sampler cannot be fused.*policy.sampler=ddim"):
        make_fusable(PolicyConfig(sampler="ddpm"))
