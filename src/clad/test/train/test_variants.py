"""Every named variant trains, and each that is a graph of its own exports and acts through the run time."""

import shutil

import numpy as np
import pytest
import torch
from tiny_demos import INSTRUCTION, write_reach_demos

from clad.cli.main import main
from clad.contract import load_contract, proprio_vector
from clad.errors import UsageError
from clad.export.bundle import export_bundle
from clad.model.config import load_config
from clad.model.variants import VARIANTS
from clad.runtime.planner import Planner
from clad.runtime.policy import Policy
from clad.train import run as runs
from clad.train.objective import mask_ratio_at
from clad.train.planner import train_planner
from clad.train.policy import train_policy

pytestmark = pytest.mark.timeout(400)  # seconds of work, but of CPU time that others may be using

CONTRACT = load_contract("libero")
STEPS = 4
TINY = [
    "planner.width=16",
    "planner.hidden=32",
    "planner.heads=2",
    "policy.width=48",
    "policy.observation=24",
    "policy.blocks=1",
    "data.features=[keypoints,pooled]",
    f"train_planner.steps={STEPS}",
    "train_planner.evaluate_every=2",
    "train_policy.steps=2",
    "train_planner.batch=16",
    "train_planner.warmup=1",
    "data.validation=0.4",
    "train_policy.batch=16",
]
QUICK = ("lbp", "action-free", "one-camera", "ee9")  # what differs most; the policy's own variants are in test/export
ACT = [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in sorted(VARIANTS) if n not in QUICK)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory, tiny_models):
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("reach")
    write_reach_demos(root / "demos" / "reach_demo.hdf5", 12, length=10)
    encoder = str(tiny_models / "encoder-tiny")
    assert main(["encode", "--demos", str(root / "demos"), "--encoder", encoder, "--out", str(root / "features")]) == 0
    return root / "features"


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory):
    """`trained(variant)`: its planner run (None for policy-only) and policy run."""
    done = {}

    def train(name: str):
        if name not in done:
            out, config = tmp_path_factory.mktemp(name), load_config("small", TINY, variants=[name])
            planner = None if config.policy.foresight == "none" else out / "planner"
            if planner:
                train_planner(cache, planner, config)
            train_policy(cache, planner, out / "policy", config)
            done[name] = planner, out / "policy"
        return done[name]

    return train


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains(trained, name):
    planner, policy = trained(name)
    info, result = runs.read_info(policy, "policy")
    assert info.config == load_config("small", TINY, variants=[name]) and np.isfinite(list(result.values())).all()
    assert info.planner_sha256 == (runs.weights_sha256(planner) if planner else "")


@pytest.mark.parametrize("name", ACT)
def test_variants_act_at_run_time(trained, tiny_models, tmp_path, make_observation, name):
    shutil.copytree(tiny_models / "encoder-tiny", tmp_path / "encoder-tiny")
    bundle = export_bundle(*trained(name), tmp_path / "encoder-tiny", name, tmp_path)
    config = load_config("small", TINY, variants=[name])
    assert bundle.cameras == config.data.cameras and bundle.proprio_variant == config.data.proprio
    planner, policy = Planner(bundle, CONTRACT), Policy(bundle, CONTRACT)
    planner.warm_up(), policy.warm_up()

    def foresee(gripper: float):
        planner.reset(INSTRUCTION, 0)
        for step in range(6):
            planner.plan(make_observation(step))
            planner.executed(step, np.array([0.5, 0, 0, 0, 0, 0, gripper]))
        return planner.plan(make_observation(6))

    foresight = foresee(1.0)
    chunk = policy.act(foresight)
    assert chunk.values.shape == (6, 7) and np.isfinite(chunk.values).all() and foresight.fallback == ""
    blind_to_actions = name in ("action-free", "lbp", "policy-only")
    assert np.array_equal(foresight.semantic_foresight, foresee(-1.0).semantic_foresight) == blind_to_actions
    assert (foresight.semantic_predicted.size > 0) == (name not in ("lbp", "policy-only", "no-recon"))
    if name == "lbp":
        seen = proprio_vector(make_observation(6), bundle.proprio_variant)
        clipped = bundle.proprio.inverse(bundle.proprio(seen))
        np.testing.assert_allclose(foresight.proprio_predicted, clipped, rtol=1e-5)
        assert foresight.semantic_foresight.shape == (4, len(foresight.semantic_embedding))
        assert not foresight.proprio_foresight.any()
        planner.reset("put the bowl up", 0)
        told = planner.plan(make_observation(6)).semantic_foresight
        assert not np.array_equal(told, foresight.semantic_foresight), "the instruction grounds the goal"


def test_curriculum_masks_everything_first():
    planner = load_config("small", variants=["curriculum"]).planner
    ratios = [mask_ratio_at(planner, step, 10) for step in range(10)]
    assert ratios == [1.0] * 5 + [0.9] * 5
    assert mask_ratio_at(load_config("small").planner, 0, 10) == 0.3


def test_curriculum_keeps_nothing_before_the_actions(cache, tmp_path, capsys):
    """Weights whose action tokens were never trained must not become a model; training goes on from there, exactly."""
    settings = load_config("small", [*TINY, "train_planner.evaluate_every=1"], variants=["curriculum"])
    assert train_planner(cache, tmp_path / "cut", settings, max_minutes=1e-6) == {}
    assert "no weights yet" in capsys.readouterr().out
    assert not (tmp_path / "cut" / runs.WEIGHTS).exists() and (tmp_path / "cut" / runs.STATE).exists()
    train_planner(cache, tmp_path / "cut", settings, resume=True)
    train_planner(cache, tmp_path / "whole", settings)
    assert runs.read_info(tmp_path / "whole", "planner")[1]["step"] > STEPS // 2
    assert runs.weights_sha256(tmp_path / "cut") == runs.weights_sha256(tmp_path / "whole")


def test_action_tokens_learn_only_after_the_action_free_phase(cache, tmp_path):
    """The same seed, cut off at the end of the phase and after it: only then has the action embedding moved."""
    from safetensors.torch import load_file

    settings = load_config("small", [*TINY, "train_planner.evaluate_every=1"], variants=["curriculum"])

    def state_after(steps: int) -> torch.Tensor:
        run = tmp_path / str(steps)
        train_planner(cache, run, settings, max_minutes=1e-6)
        for _ in range(steps - 1):
            train_planner(cache, run, settings, max_minutes=1e-6, resume=True)
        return load_file(run / runs.STATE)["model/action_position"], load_file(run / runs.STATE)[
            "model/action_token.bias"
        ]

    (position_1, bias_1), (position_2, bias_2), (_, bias_3) = (state_after(n) for n in (1, 2, 3))
    decay = 1 - 1e-3  # weight decay alone moves a parameter without gradient by far less than this
    assert not torch.equal(position_1, position_2), "the phase trains the positions"
    assert torch.allclose(bias_1, bias_2, rtol=1 - decay, atol=0)
    assert not torch.allclose(bias_2, bias_3, rtol=1 - decay, atol=0)


def test_what_cannot_be_is_refused(cache, trained, tmp_path, capsys):
    planner, _ = trained("clad")
    base = ["train", "policy", "--planner", str(planner), "--out", str(tmp_path / "x")]
    assert main([*base, "--variant", "no-recon"]) == 2
    assert "planner.recon_weight is 0.0 here" in capsys.readouterr().err
    assert main([*base, "--variant", "one-camera"]) == 2
    assert main([*base, "--variant", "curiculum"]) == 2
    assert "Did you mean curriculum" in capsys.readouterr().err
    settings = load_config("small", [*TINY, "policy.foresight=both"], variants=["lbp"])
    with pytest.raises(UsageError, match="no proprio foresight"):
        train_policy(None, trained("lbp")[0], tmp_path / "y", settings)
    with pytest.raises(UsageError, match="blind lbp"):
        train_planner(cache, tmp_path / "z", settings, blind=True)
