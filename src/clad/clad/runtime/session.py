"""ONNX Runtime sessions that run where they were asked to run, or not at all."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort

from clad.errors import CladError, unknown_name

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_REMEDY = "Install onnxruntime-gpu instead of onnxruntime, with a driver it supports, or ask for provider cpu"


def open_session(path: str | Path, provider: str = "cpu", threads: int = 1) -> ort.InferenceSession:
    """A session over the ONNX file on exactly this provider ('cpu', 'cuda' or 'tensorrt').

    ONNX Runtime falls back to the CPU in silence when a provider is missing or fails to start; here that is a
    CladError. `threads` is the number of threads inside one operator. Raises UsageError for an unknown provider.
    """
    if provider not in PROVIDERS:
        raise unknown_name("provider", provider, PROVIDERS)
    wanted = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise CladError(f"provider '{provider}' is not in this ONNX Runtime ({ort.__version__})", _REMEDY)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors: warnings about a fallback become the CladError below
    # a spinning thread starves the other processes of a small machine
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), options, providers=[wanted])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise CladError(f"{path} cannot be loaded: {str(error).splitlines()[0]}", "Export or fetch it again") from error
    if session.get_providers()[0] != wanted:
        raise CladError(
            f"provider '{provider}' did not start; {Path(path).name} would run on {session.get_providers()[0]}", _REMEDY
        )
    return session
