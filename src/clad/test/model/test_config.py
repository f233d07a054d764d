"""Configurations: presets, files, overrides, and refusals that name what would have been right."""

from dataclasses import asdict

import pytest
import torch

from clad.errors import UsageError
from clad.model.config import PRESETS, Config, Dims, PolicyConfig, from_dict, load_config, merge
from clad.model.dynamics import LatentDynamics
from clad.model.policy import DiffusionPolicy
from clad.model.variants import VARIANTS


def test_overrides_keep_types():
    config = load_config(
        "small",
        [
            "train_planner.rate=1e-4",
            "planner.width=128",
            "planner.use_actions=false",
            "data.cameras=[wrist]",
            "data.features=keypoints,pooled",
            "planner.recon_weight=0",
        ],
    )
    assert config.train_planner.rate == 1e-4 and config.planner.width == 128 and config.planner.use_actions is False
    assert config.data.cameras == ("wrist",) and config.data.features == ("keypoints", "pooled")
    assert config.planner.recon_weight == 0.0 and isinstance(config.planner.recon_weight, float)
    assert config.policy == PRESETS["small"].policy


def test_file_over_preset(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("preset: paper\npolicy: {prediction: sample}\n")
    config = load_config(str(file), ["policy.blocks=2"])
    assert config.planner.width == 1024 and config.policy.prediction == "sample" and config.policy.blocks == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("planner.widht=3", "planner.width"),
        ("plannr.width=3", "planner"),
        ("policy.foresight=bothh", "both"),
        ("planner.attention=cross", "symmetric"),
        ("planner.width=wide", "takes int"),
        ("planner.width=2.5", "takes int"),
        ("planner.use_actions=1", "takes bool"),
        ("planner=3", "is a section"),
        ("planner.width=0", "at least 1"),
        ("planner.width=30", "multiple"),
        ("planner.mask_ratio=1.5", r"\[0, 1\)"),
        ("policy.execute_steps=4", "divide"),
        ("policy.sample_steps=200", "exceeds"),
        ("train_policy.precision=half", "bfloat16"),
        ("nonsense", "section.key=value"),
        ("data.proprio=joint15", "joint14"),
        ("planner.kind=lpb", "lbp"),
        ("planner.subgoals=0", "at least 1"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(UsageError, match=message):
        load_config("small", [change])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["planner.use_actions=false", "planner.action_free_until=0.5"], "curriculum"),
        (["planner.subgoals=2", "planner.kind=lbp"], "final goal"),
    ],
)
def test_refused_together(changes, message):
    with pytest.raises(UsageError, match=message):
        load_config("small", changes)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", VARIANTS)
def test_variants(preset, name):
    """A variant changes exactly what it says of either preset; later variants and settings win."""
    base, changed = asdict(PRESETS[preset]), asdict(load_config(preset, variants=[name]))
    difference = {
        section: {key: value for key, value in values.items() if value != base[section][key]}
        for section, values in changed.items()
        if values != base[section]
    }
    said = {s: {k: v for k, v in c.items() if v != base[s][k]} for s, c in VARIANTS[name].changes.items()}
    assert difference == {section: values for section, values in said.items() if values}
    assert bool(difference) == (name != "clad" and (preset, name) != ("paper", "joint16"))


def test_variants_add_up():
    config = load_config("small", ["policy.width=16"], variants=["heavy-mask", "one-camera"])
    assert config.planner.mask_ratio == 0.9 and config.data.cameras == ("agentview",) and config.policy.width == 16
    with pytest.raises(UsageError, match="Did you mean symmetric"):
        load_config("small", variants=["symetric"])


def test_unknown_preset_and_file(tmp_path):
    with pytest.raises(UsageError, match="small"):
        load_config("smal")
    with pytest.raises(UsageError, match="does not exist"):
        load_config(str(tmp_path / "x.yaml"))


def test_sidecar_round_trip():
    for config in PRESETS.values():
        assert merge(Config(), asdict(config)) == config
    assert from_dict(PolicyConfig, asdict(PolicyConfig(width=8))) == PolicyConfig(width=8)


def test_sizes():
    """The small model is small; the paper's has its 0.33 B and 0.23 B parameters (two cameras of 1024)."""
    small, paper = (
        Dims(proprio=23, visual=608, text=384, action=7, horizon=6),
        Dims(proprio=16, visual=2048, text=1024, action=7, horizon=6),
    )
    with torch.device("meta"):
        assert 6e6 < _count(LatentDynamics(small, PRESETS["small"].planner)) < 8e6
        assert 4e6 < _count(DiffusionPolicy(small, PRESETS["small"].planner, PRESETS["small"].policy)) < 6e6
        assert 0.31e9 < _count(LatentDynamics(paper, PRESETS["paper"].planner)) < 0.35e9
        assert 0.21e9 < _count(DiffusionPolicy(paper, PRESETS["paper"].planner, PRESETS["paper"].policy)) < 0.25e9


def _count(module) -> int:
    return sum(p.numel() for p in module.parameters())
