"""Perturbations as data, and acted out on a real scene: each changes what it says and nothing else, and repeats."""

import numpy as np
import pytest

from clad.errors import UsageError
from clad.sim import scene, suites
from clad.sim.perturbations import LEVELS, Perturbations, describe, generator

TASK = ("libero_10", 2)  # a pan and a moka pot side by side, a stove: little room to move


def test_levels_are_parsed_recorded_and_explained():
    given = Perturbations.parse(["offset=0.1", "delay", "camera=0.02"])
    assert given.to_dict() == {"camera": 0.02, "delay": 0.1, "offset": 0.1}
    assert given and not Perturbations.parse([]) and Perturbations() == Perturbations.parse([])
    assert all(name in describe() for name in LEVELS)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["lihgt"], "Did you mean light"),
        (["light=much"], "level 'much'"),
        (["light=0"], "above 0, up to 0.9"),
        (["light=nan"], "level 'nan'"),
        (["drop=1.5"], "up to 1"),
        (["distractors=1.5"], "a whole number"),
        (["light", "light=0.2"], "given twice"),
    ],
)
def test_what_makes_no_sense_is_refused(texts, message):
    with pytest.raises(UsageError, match=message):
        Perturbations.parse(texts)


def test_draws_depend_on_seed_and_name_alone():
    assert generator(3, "light").random() == generator(3, "light").random()
    assert len({generator(s, n).random() for s in (3, 4) for n in LEVELS}) == 2 * len(LEVELS)


@pytest.fixture(scope="module")
def env():
    pytest.importorskip("libero", reason="LIBERO is not installed")
    from clad.sim.libero_env import LiberoEnv

    with LiberoEnv(*TASK, visuals="fast") as env:
        yield env


@pytest.fixture
def look(env, monkeypatch):
    """`look("offset=0.1", init=0)`: the perturbed scene's hash, pictures, state and object places before settling."""
    from clad.sim.disturb import Disturber

    def look(*texts, init=0):
        disturber = Disturber(Perturbations.parse(texts), env.contract) if texts else None
        monkeypatch.setattr(env, "_disturber", disturber)
        places = {}

        def settle(upstream, hold, true_settle=scene.settle):
            data = upstream.sim.data._data
            places.update({n: data.body(o.root_body).xpos.copy() for n, o in upstream.env.objects_dict.items()})
            true_settle(upstream, hold)

        with monkeypatch.context() as patched:
            patched.setattr(scene, "settle", settle)
            env.reset(init, init, "exact")
        return env.scene_hash(), env.observe().images, env.state(), places

    yield look
    env.upstream.env.set_xml_processor(None)


def test_every_scene_perturbation_repeats_and_differs_by_episode(look):
    everything = ("camera", "light", "distractors", "offset")
    first, other, again = (look(*everything, init=i)[0] for i in (0, 1, 0))
    assert first == again != other


def test_cameras_and_lights_change_pictures_and_nothing_else(look):
    _, plain, state, _ = look()
    for text in ("camera", "light"):
        _, seen, same, _ = look(text)
        assert np.array_equal(state, same)
        assert np.abs(seen["agentview"].astype(int) - plain["agentview"]).mean() > 2, text
        wrist = np.abs(seen["wrist"].astype(int) - plain["wrist"]).mean()
        assert wrist == 0 if text == "camera" else wrist > 1  # the wrist's camera is not a fixed one


def test_distractors_are_free_bodies_on_the_table_and_leave_the_task_alone(env, look):
    _, plain, state, before = look()
    joints = env.model.nq
    _, seen, wider, places = look("distractors=2")
    assert env.model.nq == joints + 14 and len(wider) == len(state) + 26
    for name, place in before.items():
        assert np.array_equal(place, places[name])
    assert np.abs(seen["agentview"].astype(int) - plain["agentview"]).mean() > 0.3
    table = env.upstream.env.workspace_offset[2]
    for number in range(2):
        height = env.data.body(f"distractor_{number}_main").xpos[2]
        assert table - 0.02 < height < table + 0.15
    assert not env.success()


def test_offsets_move_every_object_by_the_level_and_nothing_is_thrown_about(env, look):
    _, _, _, before = look()
    _, _, _, after = look("offset=0.08")
    assert before.keys() == after.keys() and len(before) == 2
    for name in before:
        assert np.linalg.norm((after[name] - before[name])[:2]) == pytest.approx(0.08, abs=1e-6), name
        assert after[name][2] == before[name][2]
        settled = env.data.body(env.upstream.env.objects_dict[name].root_body).xpos
        assert np.linalg.norm((settled - after[name])[:2]) < 0.03  # they were not put into one another
    states = suites.init_states(*TASK)[:, 1 + 9 : 1 + env.model.nq]
    assert np.abs(states - env.state()[1 + 9 : 1 + env.model.nq]).max(axis=1).min() > 0.02


def test_without_perturbations_the_scene_is_what_it_was(env, look):
    env.upstream.env.set_xml_processor(None)
    plain = look()[0]
    look("distractors=1", "light")
    env.upstream.env.set_xml_processor(None)
    assert look()[0] == plain
