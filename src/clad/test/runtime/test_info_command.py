"""`clad info`: models, sizes, latency and suites, as text and as JSON."""

import json
import shutil

import pytest

from clad.cli.main import main


@pytest.fixture
def models(tiny_models, monkeypatch, tmp_path):
    monkeypatch.setenv("CLAD_MODELS_DIR", str(tiny_models))
    monkeypatch.chdir(tmp_path)
    return tiny_models


def test_lists_models_and_a_broken_one_does_not_hide_the_others(models, tmp_path, monkeypatch, capsys):
    private = shutil.copytree(models, tmp_path / "private")
    shutil.copytree(private / "tiny", private / "broken")
    (private / "broken" / "denoiser.onnx").unlink()
    monkeypatch.setenv("CLAD_MODELS_DIR", str(private))
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "tiny: 0.0 M parameters" in out and "broken: model 'tiny' lacks its file" in out


def test_one_model_with_counts_and_latency(models, tmp_path, capsys):
    assert main(["info", "tiny", "--latency", "5", "--json", "info.json"]) == 0
    out = capsys.readouterr().out
    found = json.loads((tmp_path / "info.json").read_text())
    # (condition 8 + chunk 42 + timestep 1) x 42, and the 100 that time steps are divided by
    assert found["parameters"]["denoiser.onnx"] == 51 * 42 + 1
    assert found["normalisers"]["proprio"] == {"mean": 23, "std": 23, "clip": 5.0}
    assert found["latency"]["total"]["n"] == 5
    assert "goal of 40 ms p99 for 25 Hz: met" in out and "trained on libero_10 5" in out


def test_suites(models, capsys):
    pytest.importorskip("libero", reason="LIBERO is not installed")
    assert main(["info", "--suites"]) == 0
    assert "libero_10: 10 tasks, at most 520 steps" in capsys.readouterr().out


def test_bad_requests(models, capsys):
    assert main(["info", "tinny"]) == 2
    assert "Did you mean tiny" in capsys.readouterr().err
    assert main(["info", "--latency", "5"]) == 2
