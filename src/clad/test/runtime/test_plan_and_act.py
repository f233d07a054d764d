"""Planner and policy on a tiny model in the real formats, against the same computation written out by hand."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest
from tiny_bundle import CAMERAS, FEATURES, write_tiny_bundle

from clad.contract import proprio_vector
from clad.errors import CladError, UsageError
from clad.runtime.bundle import load_bundle, load_encoder
from clad.runtime.execution.rtc import carry_over
from clad.runtime.planner import Planner
from clad.runtime.policy import Policy, chunk_noise
from clad.runtime.types import FORESIGHT_ARRAYS

TASK = "pick up the book"


@pytest.fixture
def bundle(tiny_models):
    return load_bundle(tiny_models / "tiny")


@pytest.fixture
def planner(bundle, contract):
    planner = Planner(bundle, contract)
    planner.reset(TASK, seed=3)
    return planner


@pytest.fixture
def policy(bundle, contract):
    return Policy(bundle, contract)


def roll(planner, make_observation, steps=12, execute=3, seed=0):
    """Foresights of an episode with random executed actions."""
    rng, foresights = np.random.default_rng(seed), []
    for step in range(0, steps + 1, execute):
        foresights.append(planner.plan(make_observation(step)))
        for s in range(step, step + execute):
            planner.executed(s, rng.uniform(-1, 1, 7))
    return foresights


def assert_equal(a, b):
    for name in FORESIGHT_ARRAYS:
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_a_foresight_is_what_the_graphs_compute_from_the_exact_past(planner, bundle, make_observation):
    foresight = roll(planner, make_observation)[-1]
    encoder = load_encoder(bundle)

    def visual(step):
        out = encoder.images(np.stack([make_observation(step).images[c] for c in CAMERAS]))
        v = np.concatenate([out[f][i] for i in range(2) for f in FEATURES])
        return np.clip((v - bundle.visual.mean) / bundle.visual.std, -4, 4)

    def proprio(step):
        p = proprio_vector(make_observation(step), "joint16_ee7")
        return np.clip((p - bundle.proprio.mean) / bundle.proprio.std, -5, 5)

    executed = np.random.default_rng(0).uniform(-1, 1, (12, 7))[6:]
    low, high = np.array([-0.8] * 6 + [-1.0]), np.array([0.6] * 6 + [1.0])
    feed = {
        "proprio_past": proprio(6),
        "visual_past": visual(6),
        "proprio": proprio(12),
        "visual": visual(12),
        "text": encoder.text(TASK),
        "actions": np.clip(2 * (executed - low) / (high - low) - 1, -1, 1),
    }
    session = ort.InferenceSession(bundle.path / "planner.onnx", providers=["CPUExecutionProvider"])
    z_p, z_s, predicted, scene = session.run(
        ["proprio_foresight", "semantic_foresight", "proprio_predicted", "semantic_predicted"],
        {k: v[None].astype(np.float32) for k, v in feed.items()},
    )
    np.testing.assert_allclose(foresight.proprio_foresight, z_p[0], atol=1e-6)
    np.testing.assert_allclose(foresight.semantic_foresight, z_s[0], atol=1e-6)
    np.testing.assert_allclose(foresight.proprio_predicted, predicted[0] * 0.5 + 0.1, atol=1e-6)
    np.testing.assert_allclose(foresight.semantic_predicted, scene[0], atol=1e-6)
    assert np.array_equal(foresight.proprio_measured, proprio_vector(make_observation(12), "joint16_ee7"))
    np.testing.assert_allclose(foresight.semantic_embedding, visual(12), atol=1e-6)
    assert (foresight.step, foresight.seed, foresight.instruction, foresight.fallback) == (12, 3, TASK, "")
    assert 0 < foresight.encode_latency < foresight.plan_latency


def test_an_episode_repeats_bit_for_bit_after_reset(planner, make_observation):
    first = roll(planner, make_observation)
    planner.reset(TASK, seed=3)
    for a, b in zip(first, roll(planner, make_observation), strict=True):
        assert_equal(a, b)


def test_the_past_matters(planner, make_observation):
    first = roll(planner, make_observation, seed=0)
    planner.reset(TASK, seed=3)
    other = roll(planner, make_observation, seed=1)
    assert_equal(first[0], other[0])  # nothing executed yet
    assert not np.array_equal(first[1].proprio_foresight, other[1].proprio_foresight)


def test_planning_the_same_observation_again_gives_the_same_foresight(planner, make_observation):
    last = roll(planner, make_observation)[-1]
    assert_equal(planner.plan(make_observation(12)), last)


def test_warm_up_forgets_itself(planner, make_observation):
    first = roll(planner, make_observation)
    planner.warm_up()
    with pytest.raises(CladError, match="no instruction"):
        planner.plan(make_observation(0))
    planner.reset(TASK, seed=3)
    assert_equal(roll(planner, make_observation)[-1], first[-1])


def test_bad_observations_are_named(planner, make_observation):
    seen = make_observation(0)
    with pytest.raises(CladError, match="no image of camera 'wrist'"):
        planner.plan(replace(seen, images={"agentview": seen.images["agentview"]}))
    large = {c: np.zeros((256, 256, 3), np.uint8) for c in CAMERAS}
    with pytest.raises(CladError, match=r"camera 'agentview' is \(256, 256, 3\), the contract says \(128, 128, 3\)"):
        planner.plan(replace(seen, images=large))
    with pytest.raises(CladError, match="instruction is empty"):
        planner.reset("  ", seed=0)


def test_a_blind_model_sees_nothing(bundle, contract, make_observation):
    planner = Planner(bundle.blinded(), contract)
    planner.reset(TASK, seed=3)
    seen = make_observation(0)
    foresight = planner.plan(seen)
    assert not foresight.semantic_embedding.any()
    other_images = make_observation(0, seed=1).images
    assert_equal(planner.plan(replace(seen, images=other_images)), foresight)


def test_both_refuse_another_robot(bundle, contract):
    other = replace(contract, name="other")
    for part in (Planner, Policy):
        with pytest.raises(CladError, match="trained for robot 'libero'"):
            part(bundle, other)


def test_a_chunk_is_a_pure_function_of_its_foresight(planner, policy, make_observation):
    foresights = roll(planner, make_observation)
    chunks = [policy.act(f).values for f in foresights]
    policy.warm_up()
    for foresight, values in zip(reversed(foresights), reversed(chunks), strict=True):
        assert np.array_equal(policy.act(foresight).values, values)
    assert chunks[0].shape == (6, 7) and chunks[0].dtype == np.float32
    assert not np.array_equal(chunks[0], chunks[1])


def test_a_chunk_that_continues_another_begins_with_its_frozen_steps(planner, policy, make_observation):
    foresights = roll(planner, make_observation)
    before = policy.act(foresights[0])
    free, committed = policy.act(foresights[1]), carry_over(before, foresights[1].step, frozen=2)
    found = policy.act(foresights[1], committed)
    assert np.array_equal(found.values[:2], before.values[3:5])
    assert not np.array_equal(found.values[2:], free.values[2:])
    gap = lambda chunk: np.abs(chunk.values[2, :6] - before.values[5, :6]).max()  # noqa: E731
    assert gap(found) < gap(free)  # row 2 is due when the old chunk's last row is, and is drawn to it
    assert np.array_equal(policy.act(foresights[1]).values, free.values)  # nothing is kept


def test_a_warm_start_repeats_and_begins_at_the_chunk_before(planner, policy, bundle, contract, make_observation):
    foresights = roll(planner, make_observation)
    warm = Policy(bundle, contract, warm_start=True)
    first, second = foresights[:2]
    before, full = policy.act(first), policy.act(second).values
    found = warm.act(second, previous=before).values
    assert np.array_equal(found, warm.act(second, previous=before).values) and not np.array_equal(found, full)
    other = replace(before, values=before.values + np.float32(0.01))
    assert not np.array_equal(found, warm.act(second, previous=other).values)
    far = replace(second, step=first.step + bundle.horizon)
    for foresight, previous in ((second, None), (second, replace(before, step=second.step)), (far, before)):
        assert np.array_equal(warm.act(foresight, previous=previous).values, policy.act(foresight).values)
    assert np.array_equal(policy.act(second, previous=before).values, full)  # only who was asked to starts warm
    held = warm.act(second, carry_over(before, second.step, frozen=2), before)
    assert np.array_equal(held.values[:2], before.values[3:5]) and not np.array_equal(held.values, found)


@pytest.mark.parametrize(("warm_start", "expected"), [(False, [3, 3]), (True, [3, 2])])
def test_as_many_sampling_steps_as_were_asked_for(
    monkeypatch, planner, bundle, contract, make_observation, warm_start, expected
):
    policy, runs = Policy(bundle, contract, sample_steps=3, warm_start=warm_start), []
    run = policy._network.run
    monkeypatch.setattr(policy, "_network", SimpleNamespace(run=lambda *a: runs.append(1) or run(*a)))
    chunk, counts = None, []
    for foresight in roll(planner, make_observation)[:2]:
        chunk = policy.act(foresight, previous=chunk)
        counts.append(len(runs))
        runs.clear()
    assert counts == expected
    assert not np.array_equal(chunk.values, Policy(bundle, contract).act(foresight).values)


def test_steps_that_cannot_be_are_refused(bundle, contract):
    for steps in (-1, 101):
        with pytest.raises(UsageError, match=f"{steps} sampling steps of 100 training steps"):
            Policy(bundle, contract, sample_steps=steps)
    with pytest.raises(UsageError, match="leaves out half of the sampling steps, and there is one"):
        Policy(bundle, contract, sample_steps=1, warm_start=True)
    for changed in ({"sample_steps": 4}, {"warm_start": True}):
        with pytest.raises(UsageError, match="a fused sampler is one network: 10 steps"):
            Policy(bundle, contract, fused=True, **changed)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"step": 1},
        *(
            {name: 0.5}
            for name in (
                "proprio",
                "semantic_embedding",
                "instruction_embedding",
                "proprio_foresight",
                "semantic_foresight",
            )
        ),
    ],
)
def test_everything_that_the_policy_uses_moves_the_chunk(planner, policy, make_observation, change):
    foresight = planner.plan(make_observation(0))
    ((name, by),) = change.items()
    changed = replace(
        foresight, **{name: by if name in ("seed", "step") else getattr(foresight, name) + np.float32(by)}
    )
    assert not np.array_equal(policy.act(foresight).values, policy.act(changed).values)


def test_chunk_values_are_wire_units_within_the_trained_range(planner, policy, make_observation):
    values = policy.act(planner.plan(make_observation(0))).values
    low, high = (
        np.array([-0.04] * 3 + [-0.4] * 3 + [-1]),
        np.array([0.03] * 3 + [0.3] * 3 + [1]),
    )  # native range x scale
    assert (values >= low - 1e-6).all() and (values <= high + 1e-6).all()
    assert np.abs(values[:, 3:6]).max() > 0.06  # rotations are in radians: a forgotten scale would show


def test_chunk_noise_is_fixed_for_all_time():
    noise = chunk_noise(0, 0, (1, 6, 7))
    assert noise.dtype == np.float32
    np.testing.assert_array_equal(noise, np.random.default_rng([0, 0]).standard_normal((1, 6, 7)).astype(np.float32))
    assert not np.array_equal(noise, chunk_noise(0, 6, (1, 6, 7)))


def test_a_policy_only_model_does_without_a_planner(tiny_models, tmp_path, contract, make_observation):
    shutil.copytree(tiny_models / "encoder-tiny", tmp_path / "encoder-tiny")
    encoder = json.loads((tmp_path / "encoder-tiny" / "encoder.json").read_text())
    bundle = load_bundle(write_tiny_bundle(tmp_path / "alone", encoder, planner=False))
    planner, policy = Planner(bundle, contract), Policy(bundle, contract)
    planner.warm_up()
    policy.warm_up()
    planner.reset(TASK, seed=0)
    foresight = planner.plan(make_observation(0))
    assert not bundle.has_planner and foresight.proprio_foresight.size == 0
    assert foresight.semantic_predicted.size == foresight.proprio_predicted.size == 0
    assert policy.act(foresight).values.shape == (6, 7)


def test_a_bundle_from_before_the_scene_was_read_back_plans_as_it_did(
    tiny_models, tmp_path, contract, make_observation
):
    shutil.copytree(tiny_models / "encoder-tiny", tmp_path / "encoder-tiny")
    encoder = json.loads((tmp_path / "encoder-tiny" / "encoder.json").read_text())
    old, new = (
        Planner(load_bundle(write_tiny_bundle(tmp_path / str(reads), encoder, reads_scene=reads)), contract)
        for reads in (False, True)
    )
    old.reset(TASK, seed=0)
    new.reset(TASK, seed=0)
    before, now = old.plan(make_observation(0)), new.plan(make_observation(0))
    assert before.semantic_predicted.size == 0 and now.semantic_predicted.shape == now.semantic_embedding.shape
    for name in (name for name in FORESIGHT_ARRAYS if name != "semantic_predicted"):
        assert np.array_equal(getattr(before, name), getattr(now, name)), name
