"""A session runs on the provider that was asked for, or is an error."""

import numpy as np
import onnxruntime as ort
import pytest

from clad.errors import CladError, UsageError
from clad.runtime.session import open_session


def test_runs_on_the_cpu_with_the_threads_asked_for(tiny_models):
    session = open_session(tiny_models / "tiny" / "denoiser.onnx", "cpu", threads=2)
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert session.get_session_options().intra_op_num_threads == 2
    feed = {
        "condition": np.zeros((1, 8), np.float32),
        "noisy": np.zeros((1, 6, 7), np.float32),
        "timestep": np.array([3]),
    }
    assert session.run(["prediction"], feed)[0].shape == (1, 6, 7)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_missing_provider_is_an_error_with_the_remedy(tiny_models, provider):
    if {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}[
        provider
    ] in ort.get_available_providers():
        pytest.skip(f"this ONNX Runtime has {provider}")
    with pytest.raises(CladError, match="onnxruntime-gpu"):
        open_session(tiny_models / "tiny" / "denoiser.onnx", provider)


def test_a_provider_that_is_built_in_but_does_not_start_is_an_error(tiny_models, monkeypatch):
    """ONNX Runtime lists CUDA on a machine without a driver and then falls back in silence: as if it did here."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with (
        pytest.warns(UserWarning),
        pytest.raises(CladError, match="'cuda' did not start; denoiser.onnx would run on CPU"),
    ):
        open_session(tiny_models / "tiny" / "denoiser.onnx", "cuda")


def test_an_unknown_provider_and_a_broken_file_are_named(tiny_models, tmp_path):
    with pytest.raises(UsageError, match="Valid: cpu, cuda, tensorrt"):
        open_session(tiny_models / "tiny" / "denoiser.onnx", "gpu")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(CladError, match="broken.onnx cannot be loaded"):
        open_session(broken)
