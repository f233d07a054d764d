"""z_dyn over tasks: silhouettes against closed forms, windows against one computed alone, and which episodes are shown."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_demos import encoded, reach_episode
from tiny_planner import TAU, random_planner

from clad.cli.main import main
from clad.contract import hold_action, load_contract, proprio_vector
from clad.data.features import CacheInfo
from clad.data.libero_hdf5 import write_episode
from clad.errors import CladError
from clad.figures import clusters
from clad.figures.clusters import Clusters, Latents, compare, embed_dynamics, silhouettes
from clad.model.dynamics import Observed

CONTRACT = load_contract("libero")


@pytest.fixture
def planner(tmp_path):
    return random_planner(tmp_path)


def latents(z, task, episode=None):
    task = np.asarray(task)
    return Latents(planner="p", z=z, task=task, episode=task if episode is None else episode, tasks={0: "a", 1: "b"})


def test_silhouettes_of_four_points_on_a_line():
    found = silhouettes(np.array([[0.0], [1.0], [10.0], [12.0]]), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(found, [1 - 1 / 11, 1 - 1 / 10, 1 - 2 / 9.5, 1 - 2 / 11.5])


def test_silhouettes_say_what_is_mixed_and_what_is_apart():
    rng = np.random.default_rng(0)
    task = np.repeat([0, 1], 50)
    blobs = rng.normal(size=(100, 8))
    assert abs(silhouettes(blobs, task).mean()) < 0.02
    assert silhouettes(blobs + 100 * task[:, None], task).mean() > 0.97
    with pytest.raises(CladError, match="one task only"):
        silhouettes(blobs, np.zeros(100))


def test_episodes_are_what_is_compared():
    episode = np.repeat(np.arange(6), [1, 2, 3, 4, 50, 6])
    base = latents(np.zeros((66, 2)), episode % 2, episode)
    one, other = (
        Clusters(latents=base, embedding=base.z, silhouette=s, embedded_silhouette=s)
        for s in (0.1 + 0.01 * episode, np.zeros(66))
    )
    assert compare(one, other) == (6, 6, pytest.approx(2 / 2**6))  # every sign alike: the exact two-sided p
    assert compare(other, one)[0] == 0 and compare(one, one) == (0, 6, 1.0)
    by_task = {0: 0.1 + 0.01 * (0 * 1 + 2 * 3 + 4 * 50) / 54, 1: 0.1 + 0.01 * (1 * 2 + 3 * 4 + 5 * 6) / 12}
    assert one.by(base.task) == pytest.approx(by_task)


@torch.no_grad()
def test_z_dyn_of_a_window_is_that_of_its_observations_and_actions(planner):
    episodes = [replace(encoded(20, seed=s, instruction=f"task {s}"), key=f"f/demo_{s}") for s in (0, 1)]
    found = embed_dynamics(planner, episodes, CONTRACT, most=1000)
    assert found.z.shape == (40, 16) and found.tasks == {0: "task 0", 1: "task 1"}
    np.testing.assert_array_equal(found.task, np.repeat([0, 1], 20))
    n = planner.normalisers
    for row in (3, 15):  # before tau steps, and after
        e, past = episodes[1], max(row - TAU, 0)
        visual = np.concatenate([e.features[c, f] for c in planner.cameras for f in planner.features], axis=-1)
        proprio = proprio_vector(e, "joint16")
        actions = [e.executed[k] if k >= 0 else hold_action(CONTRACT.action) for k in range(row - TAU, row)]
        seen = [
            Observed(*(torch.from_numpy(v)[None] for v in (n.proprio(proprio[k]), n.visual(visual[k]))))
            for k in (past, row)
        ]
        z = planner.model.cross_modal(
            *seen, torch.from_numpy(e.text)[None], torch.from_numpy(n.action(np.array(actions)))[None]
        )
        np.testing.assert_allclose(found.z[20 + row], z[0], atol=1e-5)
    assert len(embed_dynamics(planner, episodes, CONTRACT, most=15).z) == 14  # every third of 40


def test_only_what_nobody_was_trained_on_is_shown(planner, monkeypatch, tmp_path):
    episodes = [replace(encoded(8, seed=s), key=f"f/demo_{s}") for s in range(4)]
    info = CacheInfo(
        encoder_name="tiny", encoder_sha256="e", feature_dims={}, text_dim=4, contract_name="libero", contract_hash="c"
    )
    monkeypatch.setattr(clusters, "read_info", lambda cache: info)
    monkeypatch.setattr(clusters, "load_cache", lambda *_: episodes)

    def shown(*planners):
        found, held_out = clusters.shared_episodes(tmp_path, planners)
        return [e.key for e in found], held_out

    other = replace(planner, held_out=("f/demo_1", "f/demo_2"))
    assert shown(planner) == (["f/demo_0", "f/demo_1"], True)
    assert shown(planner, other) == (["f/demo_1"], True)
    assert shown(planner, replace(planner, held_out=None)) == ([f"f/demo_{s}" for s in range(4)], False)
    with pytest.raises(CladError, match="held out of all"):
        shown(other, replace(planner, held_out=("f/demo_0",)))
    with pytest.raises(CladError, match="features of encoder"):
        shown(replace(planner, encoder_sha256="f"))


@pytest.mark.slow  # UMAP compiles itself first
def test_umap_of_two_tasks_from_demonstrations_to_picture(tmp_path, tiny_models, capsys):
    pytest.importorskip("umap")
    for number, instruction in enumerate(("pick up the book", "put the bowl back")):
        for seed in range(3):
            episode = reach_episode(10 * number + seed, length=24)
            episode = replace(
                episode, instruction=instruction, meta={"suite": "libero_10", "task": number, "seed": seed}
            )
            write_episode(tmp_path / "demos" / f"t{number}_demo.hdf5", episode, states=np.zeros((24, 3)), file_attrs={})
    features, run, out = (str(tmp_path / name) for name in ("features", "run", "umap.png"))
    encoder = str(tiny_models / "encoder-tiny")
    assert main(["encode", "--demos", str(tmp_path / "demos"), "--encoder", encoder, "--out", features]) == 0
    sets = ["planner.width=16", "planner.hidden=32", "planner.heads=2", "data.features=[keypoints,pooled]"]
    sets += ["train_planner.steps=2", "train_planner.evaluate_every=1", "train_planner.batch=8", "data.validation=0.4"]
    settings = [part for s in sets for part in ("--set", s)]
    assert main(["train", "planner", "--features", features, "--out", run, *settings]) == 0
    command = ["figure", "umap", "--planner", run, "--planner", run, "--features", features, "--out", out]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "(48 windows)" in said and "in 0 of 2 episodes" in said  # one of three of each task is held out
    assert Image.open(out).size[0] > 1000
