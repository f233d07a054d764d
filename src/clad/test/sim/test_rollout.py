"""The direct rollout on real LIBERO with a tiny model: order of the loop, limits, hashes that repeat."""

import hashlib
import math

import numpy as np
import pytest

from clad.contract import wire_to_native
from clad.errors import UsageError
from clad.sim.perturbations import Perturbations
from clad.sim.rollout import EpisodeLog, run_episode


@pytest.fixture(scope="module")
def env():
    pytest.importorskip("libero", reason="LIBERO is not installed")
    from clad.sim.libero_env import LiberoEnv

    with LiberoEnv("libero_object", 0) as env:
        yield env


@pytest.fixture(scope="module")
def model(tiny_models, contract):
    from clad.runtime.bundle import load_bundle
    from clad.runtime.planner import Planner
    from clad.runtime.policy import Policy

    bundle = load_bundle(tiny_models / "tiny")
    return Planner(bundle, contract), Policy(bundle, contract)


def roll(env, model, *, init_index=0, seed=0, protocol="exact", max_steps=7, **more):
    return run_episode(
        env, *model, init_index=init_index, seed=seed, protocol=protocol, execute_steps=3, max_steps=max_steps, **more
    )


def hashes(result):
    return result.scene_hash, result.action_hash, result.state_hash


def test_the_log_hashes_every_action_and_every_state():
    log = EpisodeLog(np.array([1.0, 2.0]))
    log.record(np.full(7, 0.5, dtype=np.float32), np.array([3.0, 4.0]), 0.0)
    log.record(np.full(7, -1.0), np.array([5.0, 6.0]), 1.0)
    assert (log.steps, log.total_reward) == (2, 1.0)
    assert log.state_hash == hashlib.sha256(np.array([1, 2, 3, 4, 5, 6], np.float64).tobytes()).hexdigest()
    actions = np.array([[0.5] * 7, [-1.0] * 7])
    assert log.action_hash == hashlib.sha256(actions.tobytes()).hexdigest()


def test_an_episode_repeats_bit_for_bit_and_watching_it_changes_nothing(env, model):
    frames = []
    first, again, watched = roll(env, model), roll(env, model), roll(env, model, on_frame=frames.append)
    assert hashes(first) == hashes(again) == hashes(watched)
    assert [f.step for f in frames] == list(range(8)) and all(f.images for f in frames)
    assert (first.steps, first.outcome, first.success) == (7, "timeout", False)  # a limit inside a chunk holds
    assert len(first.encode) == len(first.plan) == len(first.policy) == math.ceil(7 / 3)
    assert all(p > e > 0 for p, e in zip(first.plan, first.encode, strict=True))
    assert first.fallbacks == 0  # the planner was told of every executed action
    assert first.render_time > 0 and first.physics_time > 0 and first.wall_time > first.render_time
    assert first.instruction == env.instruction


def test_seed_and_state_and_words_matter(env, model):
    base = roll(env, model)
    assert roll(env, model, seed=1).action_hash != base.action_hash
    assert roll(env, model, init_index=1).scene_hash != base.scene_hash
    assert roll(env, model, instruction="put the bowl back").action_hash != base.action_hash


def test_lost_frames_are_stood_in_for_by_the_last_that_came(env, model, monkeypatch):
    seen, plan = [], model[0].plan
    monkeypatch.setattr(model[0], "plan", lambda o: seen.append((o.step, id(o.images["wrist"]))) or plan(o))
    for rate, frames in ((0.0, 4), (1.0, 1)):
        seen.clear()
        monkeypatch.setattr(env, "perturbations", Perturbations(drop=rate))
        roll(env, model, max_steps=12)
        assert [step for step, _ in seen] == [0, 3, 6, 9] and len({frame for _, frame in seen}) == frames
    monkeypatch.setattr(env, "perturbations", Perturbations(drop=0.5))
    first, again, other = (roll(env, model, max_steps=12, seed=s) for s in (0, 0, 1))
    assert hashes(first) == hashes(again) and first.action_hash != other.action_hash


def test_a_late_chunk_acts_late_and_at_its_own_time(env, model, monkeypatch):
    """Every step is planned on; what acts at step s is row 2 of the chunk made 2 steps (0.1 s) before it."""
    chunks, executed, act = {}, [], model[1].act
    monkeypatch.setattr(model[1], "act", lambda f, **more: chunks.setdefault(f.step, act(f, **more)))
    monkeypatch.setattr(env, "step", lambda action, step=env.step: executed.append(action.copy()) or step(action))
    monkeypatch.setattr(env, "perturbations", Perturbations(delay=0.1))
    late = roll(env, model, max_steps=5)
    executed_late, executed[:] = list(executed), []
    assert np.array_equal(executed_late[:2], [[0, 0, 0, 0, 0, 0, -1]] * 2)  # nothing has arrived: hold
    for step in (2, 3, 4):
        assert np.array_equal(executed_late[step], wire_to_native(chunks[step - 2].values[2], env.contract.action))
    assert len(late.policy) == 5
    chunks.clear()
    assert hashes(roll(env, model, max_steps=5)) == hashes(late)
    monkeypatch.setattr(env, "perturbations", Perturbations())
    assert roll(env, model, max_steps=5).action_hash != late.action_hash


def test_success_ends_the_episode_at_once(env, model, monkeypatch):
    step, count = env.step, []

    def succeeding(action):
        from dataclasses import replace

        count.append(action)
        return replace(step(action), done=len(count) == 5, reward=float(len(count) == 5))

    monkeypatch.setattr(env, "step", succeeding)
    result = roll(env, model, max_steps=50)
    assert (result.steps, result.outcome, result.total_reward, len(count)) == (5, "success", 1.0, 5)


def test_sampled_scenes_are_their_seeds(env, model):
    a, b, again = (roll(env, model, init_index=None, seed=s, protocol="sampled", max_steps=3) for s in (1, 2, 1))
    assert hashes(a) == hashes(again) and a.scene_hash != b.scene_hash and a.init_index is None


def test_protocol_and_state_must_fit(env, model):
    with pytest.raises(UsageError, match="has no evaluation state"):
        roll(env, model, protocol="sampled")
    with pytest.raises(UsageError):
        roll(env, model, init_index=None)
