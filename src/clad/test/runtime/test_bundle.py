"""A bundle is taken whole and unharmed, or refused by name."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tiny_bundle import HORIZON, PROPRIO, VISUAL, write_tiny_encoder, write_tiny_models

from clad.errors import CladError, UsageError
from clad.runtime.bundle import load_bundle, load_encoder
from clad.runtime.catalogue import bundle_names, default_model, find_bundle


@pytest.fixture
def models(tiny_models, tmp_path):
    """A private copy that a test may damage."""
    return shutil.copytree(tiny_models, tmp_path / "models")


def edit(path, change):
    body = json.loads((path / "model.json").read_text())
    change(body)
    (path / "model.json").write_text(json.dumps(body))


def test_fields_arrive_typed(models):
    bundle = load_bundle(models / "tiny")
    assert (bundle.horizon, bundle.execute_steps) == (HORIZON, 3)
    assert bundle.proprio.mean.shape == (PROPRIO,) and bundle.visual.std.shape == (VISUAL,)
    assert bundle.proprio.mean.dtype == np.float32 and bundle.action.low.dtype == np.float64
    assert bundle.tasks[0].suite == "libero_10" and bundle.diffusion.sample_steps == 10
    assert bundle.id == f"tiny@{bundle.sha256[:12]}" and bundle.has_planner


def test_found_by_name_and_an_unknown_name_lists_the_valid_ones(models, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.setenv("CLAD_MODELS_DIR", str(models))
    assert load_bundle("tiny").path == models / "tiny"
    assert bundle_names() == ["tiny"]  # the encoder is no model
    with pytest.raises(UsageError, match="unknown model 'tinny'. Did you mean tiny"):
        load_bundle("tinny")
    with pytest.raises(CladError, match="is not a model"):
        load_bundle(models / "encoder-tiny")


def test_the_default_is_the_first_model_that_sees(models, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.setenv("CLAD_MODELS_DIR", str(models))
    for name in ("a-damaged", "b-blind"):
        shutil.copytree(models / "tiny", models / name)
    (models / "a-damaged" / "model.json").write_text("{")
    edit(models / "b-blind", lambda b: b.update(blind=True))
    assert default_model() == "tiny"
    shutil.rmtree(models / "tiny")
    with pytest.raises(CladError, match="there is no model for robot libero in .* Train one"):
        default_model()


def test_the_default_model_is_the_robots(models, monkeypatch, tmp_path):
    monkeypatch.setenv("CLAD_MODELS_DIR", str(models))
    monkeypatch.chdir(tmp_path / "models")
    shutil.copytree(models / "tiny", models / "arm")  # before `tiny` in the alphabet
    edit(models / "arm", lambda body: body["contract"].update(name="fake"))
    assert default_model() == find_bundle("").name == "tiny"
    assert default_model("fake") == find_bundle("", "fake").name == "arm"
    edit(models / "arm", lambda body: body.update(blind=True))
    with pytest.raises(CladError, match="there is no model for robot fake"):
        default_model("fake")


def test_found_in_models_of_the_working_directory(models, monkeypatch):
    monkeypatch.delenv("CLAD_MODELS_DIR", raising=False)
    monkeypatch.chdir(models.parent)
    assert load_bundle("tiny").name == "tiny"
    assert load_bundle("models/tiny").name == "tiny"


@pytest.mark.parametrize("name", ["planner.onnx", "condition.onnx", "denoiser.onnx"])
def test_damage_is_refused_by_file_name(models, name):
    file = models / "tiny" / name
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CladError, match=f"{name} is truncated, altered or from another model"):
        load_bundle(models / "tiny")
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CladError, match=name):
        load_bundle(models / "tiny")
    file.unlink()
    with pytest.raises(CladError, match=f"lacks its file .*{name}"):
        load_bundle(models / "tiny")


def test_a_file_of_another_model_is_refused(models, tmp_path):
    other = write_tiny_models(tmp_path / "other", seed=5)
    shutil.copy(other / "denoiser.onnx", models / "tiny" / "denoiser.onnx")
    with pytest.raises(CladError, match="denoiser.onnx is truncated, altered or from another model"):
        load_bundle(models / "tiny")


def test_an_unlisted_network_is_refused(models):
    shutil.copy(models / "tiny" / "planner.onnx", models / "tiny" / "extra.onnx")
    with pytest.raises(CladError, match="extra.onnx is no part of"):
        load_bundle(models / "tiny")


def test_a_truncated_sidecar_is_refused(models):
    sidecar = models / "tiny" / "model.json"
    sidecar.write_text(sidecar.read_text()[:200])
    with pytest.raises(CladError, match="model.json is truncated or not JSON"):
        load_bundle(models / "tiny")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda b: b.pop("horizon"), "no field 'horizon'"),
        (lambda b: b.update(schema=2), "schema 2 instead of 1"),
        (lambda b: b.update(execute_steps=4), "execute_steps 4 does not divide the horizon 6"),
        (lambda b: b.update(proprio_variant="ee9"), "the proprio normaliser has 23 entries, ee9 needs 9"),
        (lambda b: b["normalisers"]["visual"]["std"].__setitem__(0, 0.0), "std must be positive"),
        (lambda b: b["normalisers"]["action"]["low"].__setitem__(0, 9.0), "low < high"),
        (lambda b: b["diffusion"].update(sampler="heun"), "sampler 'heun' is not supported"),
        (lambda b: b["files"].pop("condition.onnx"), "files lists no condition.onnx"),
        (lambda b: b.update(tasks=[]), "tasks is empty"),
    ],
)
def test_a_wrong_sidecar_is_refused_with_the_reason(models, change, reason):
    edit(models / "tiny", change)
    with pytest.raises(CladError, match=reason):
        load_bundle(models / "tiny")


def test_another_robot_is_refused(models, contract):
    bundle = load_bundle(models / "tiny")
    bundle.require_contract(contract)
    with pytest.raises(CladError, match="was trained for robot 'libero' .* not for 'libero'"):
        bundle.require_contract(replace(contract, control_rate=50.0))


def test_another_encoder_is_refused_and_a_missing_one_named(models, monkeypatch):
    monkeypatch.setenv("CLAD_MODELS_DIR", str(models))
    bundle = load_bundle("tiny")
    assert load_encoder(bundle).id == bundle.encoder_sha256
    shutil.rmtree(models / "encoder-tiny")
    with pytest.raises(CladError, match="needs the encoder 'encoder-tiny'"):
        load_encoder(bundle)
    write_tiny_encoder(models / "encoder-tiny", seed=9)
    with pytest.raises(CladError, match="was trained with another encoder"):
        load_encoder(bundle)


def test_the_checksum_names_the_whole_model(models):
    before = load_bundle(models / "tiny").sha256
    edit(models / "tiny", lambda b: b.update(created="later"))
    assert load_bundle(models / "tiny").sha256 != before
