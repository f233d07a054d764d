"""Both stages learn what can be learned, stop when they should, and continue exactly where they were."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tiny_demos import write_reach_demos

from clad.cli.main import main
from clad.data import features
from clad.errors import CladError, UsageError
from clad.model.config import OptimConfig, load_config
from clad.train import run as runs
from clad.train.loop import Averaged, make_optimizer, set_rate
from clad.train.planner import train_planner
from clad.train.policy import load_planner, train_policy

pytestmark = pytest.mark.timeout(400)  # seconds of work, but of CPU time that others may be using

SMALL = [
    "planner.width=16",
    "planner.hidden=32",
    "planner.heads=2",
    "policy.width=48",
    "policy.observation=24",
    "policy.blocks=2",
    "train_planner.batch=64",
    "train_policy.batch=128",
    "train_planner.warmup=20",
    "train_policy.warmup=20",
    "data.validation=0.2",
    "train_policy.weights_ema=0.99",
    "train_policy.input_noise=0.02",
    "train_planner.input_noise=0.02",
    "policy.dropout=0",
]


def config(*changes: str):
    return load_config("small", [*SMALL, *changes])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory, tiny_models):
    root = tmp_path_factory.mktemp("reach")
    write_reach_demos(root / "demos" / "reach_demo.hdf5", 30, length=20)
    encoder = tiny_models / "encoder-tiny"
    assert (
        main(["encode", "--demos", str(root / "demos"), "--encoder", str(encoder), "--out", str(root / "features")])
        == 0
    )
    return root / "features"


@pytest.fixture(scope="module")
def planner(cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("planner")
    train_planner(cache, out, config("train_planner.steps=400", "train_planner.evaluate_every=100"))
    return out


def test_planner_beats_forecasting_no_change(planner):
    info, result = runs.read_info(planner, "planner")
    assert result["skill"] < 1 and result["spread_semantic"] > 0.1 and result["spread_proprio"] > 0.1
    lines = [json.loads(line) for line in (planner / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [100, 200, 300, 400]
    assert result["skill"] == min(line["skill"] for line in lines), "the weights kept are the best, not the last"
    assert lines[-1]["total"] < lines[0]["total"]
    assert info.tasks == ({"suite": "libero_10", "task": 5, "instruction": "pick up the book"},)
    assert len(info.validation) == 6 and info.demonstrations == 24
    assert list((planner / "tensorboard").glob("events*"))


def test_policy_needs_eyes(planner, cache, tmp_path):
    """The target is in the picture only: with eyes the policy finds the way, blind it cannot."""
    settings = config("train_policy.steps=600", "train_policy.evaluate_every=600")
    seeing = train_policy(None, planner, tmp_path / "policy", settings)
    blind_settings = config(
        "train_policy.steps=600",
        "train_policy.evaluate_every=600",
        "train_planner.steps=20",
        "train_planner.evaluate_every=20",
    )
    train_planner(cache, tmp_path / "blind-planner", blind_settings, blind=True)
    blind = train_policy(None, tmp_path / "blind-planner", tmp_path / "blind", blind_settings)
    assert seeing["validation_motion_error"] < 0.8 * blind["validation_motion_error"]
    assert seeing["validation_gripper_error"] < 0.6 * blind["validation_gripper_error"]
    info, _ = runs.read_info(tmp_path / "policy", "policy")
    assert info.planner_sha256 == runs.weights_sha256(planner) and not info.blind
    assert runs.read_info(tmp_path / "blind", "policy")[0].blind, "a policy is as blind as its planner"
    assert info.validation == runs.read_info(planner, "planner")[0].validation, "held-out demonstrations stay held out"


def test_planner_is_frozen(planner, tmp_path):
    before = runs.weights_sha256(planner)
    model, _ = load_planner(planner)
    assert not any(p.requires_grad for p in model.parameters()) and not model.training
    train_policy(None, planner, tmp_path / "policy", config("train_policy.steps=3"))
    assert runs.weights_sha256(planner) == before


@pytest.mark.parametrize("stage", ["planner", "policy"])
def test_exact_resume(stage, cache, planner, tmp_path, monkeypatch):
    """Stopped half way and resumed, the weights are bit for bit those of an uninterrupted run."""
    settings = config(f"train_{stage}.steps=12", f"train_{stage}.evaluate_every=3", f"train_{stage}.patience=0")

    def train(out, **more):
        if stage == "planner":
            return train_planner(cache, out, settings, seed=3, **more)
        return train_policy(None, planner, out, settings, seed=3, **more)

    train(tmp_path / "whole")
    saved = runs.save_state

    def die_after_half(run, modules, optimizer, progress):
        saved(run, modules, optimizer, progress)
        if progress["step"] == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_state", die_after_half)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "halves")
    train(tmp_path / "halves", resume=True)
    for name in (runs.WEIGHTS, runs.STATE):
        a, b = (load_file(tmp_path / run / name) for run in ("whole", "halves"))
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a), name


@pytest.mark.parametrize("stage", ["planner", "policy"])
def test_resume_is_exact_wherever_the_time_ran_out(stage, cache, planner, tmp_path):
    """The validation that a time limit adds leaves no trace in what follows: it draws no random number."""
    settings = config(f"train_{stage}.steps=6", f"train_{stage}.evaluate_every=6")

    def train(out, **more):
        if stage == "planner":
            return train_planner(cache, out, settings, **more)
        return train_policy(None, planner, out, settings, **more)

    train(tmp_path / "whole")
    train(tmp_path / "parts", max_minutes=1e-6)
    train(tmp_path / "parts", resume=True)
    a, b = (load_file(tmp_path / run / runs.STATE) for run in ("whole", "parts"))
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    lines = [json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 6]


def test_stops_early(cache, tmp_path):
    """With a rate far too high validation soon gets no better, and patience runs out."""
    settings = config(
        "train_planner.steps=400",
        "train_planner.evaluate_every=4",
        "train_planner.patience=2",
        "train_planner.rate=0.02",
        "train_planner.clip=1000",
        "planner.ema_momentum=0.5",
    )
    train_planner(cache, tmp_path, settings)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    skills = [line["skill"] for line in lines]
    assert lines[-1]["step"] < 400 and skills.index(min(skills)) == len(skills) - 3
    assert runs.read_info(tmp_path, "planner")[1]["step"] == lines[-3]["step"]


def test_time_limit_leaves_a_result(cache, tmp_path):
    train_planner(cache, tmp_path, config("train_planner.steps=100000"), max_minutes=1e-6)
    assert runs.read_info(tmp_path, "planner")[1]["step"] == 1
    assert (tmp_path / runs.STATE).is_file()


def test_seed_decides(cache, tmp_path):
    settings = config("train_planner.steps=3")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_planner(cache, tmp_path / name, settings, seed=seed)
    assert (
        runs.weights_sha256(tmp_path / "a")
        == runs.weights_sha256(tmp_path / "b")
        != runs.weights_sha256(tmp_path / "c")
    )


def test_what_does_not_belong_together_is_refused(cache, planner, tmp_path, capsys):
    with pytest.raises(UsageError, match="needs a planner"):
        train_policy(cache, None, tmp_path, config())
    with pytest.raises(UsageError, match="a planner that sees"):
        train_policy(None, planner, tmp_path, config(), blind=True)
    with pytest.raises(CladError, match="is a planner run"):
        runs.read_info(planner, "policy")
    with pytest.raises(CladError, match="nothing to resume"):
        train_planner(cache, tmp_path / "new", config(), resume=True)
    with pytest.raises(CladError, match="no feature cache"):
        train_planner(tmp_path, tmp_path / "x", config())
    assert (
        main(["train", "planner", "--set", "planner.widht=3", "--features", str(cache), "--out", str(tmp_path / "y")])
        == 2
    )
    assert "planner.width" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    info = features.read_info(cache)
    body = json.loads((cache / features.INDEX).read_text())
    (other / features.INDEX).write_text(json.dumps({**body, "encoder_sha256": "0" * 64}))
    with pytest.raises(CladError, match=info.encoder_sha256[:12]):
        train_policy(other, planner, tmp_path / "z", config())


def test_rate_warms_up_and_falls():
    optim = OptimConfig(steps=100, warmup=10, rate=1.0)
    optimizer = make_optimizer(torch.nn.Linear(2, 2), optim)
    rates = [set_rate(optimizer, optim, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] > 0.95
    assert all(a > b for a, b in zip(rates[10:90], rates[11:91], strict=True)) and rates[100] == pytest.approx(0.01)
    assert optimizer.param_groups[0]["lr"] == rates[100]


def test_average_of_weights():
    online = torch.nn.Linear(1, 1, bias=False)
    averaged, expected = Averaged(online, 0.9), online.weight.item()
    for step in range(60):
        with torch.no_grad():
            online.weight.fill_(float(step % 5))
        averaged.update(online, step)
        decay = min(0.9, step / (step + 20))
        expected = decay * expected + (1 - decay) * (step % 5)
    assert averaged.module.weight.item() == pytest.approx(expected, rel=1e-4)
    assert Averaged(online, 0.0).module is online
