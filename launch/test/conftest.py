"""`models`: some to choose from. `resolve`: launch files as a launcher understands them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Three models to choose from, as far as a launch file looks into them, in the working directory."""
    for name, task, robot in (("first", 5, "libero"), ("other", 2, "libero"), ("reach", 0, "fake")):
        (tmp_path / "models" / name).mkdir(parents=True)
        sidecar = {"blind": False, "tasks": [{"suite": "libero_10", "task": task}], "contract": {"name": robot}}
        (tmp_path / "models" / name / "model.json").write_text(json.dumps(sidecar))
    monkeypatch.delenv("CLAD_MODELS_DIR", raising=False)
    monkeypatch.chdir(tmp_path)


def _python310() -> Path | None:
    """The folder of libpython3.10.so.1.0, which play_launch is linked with."""
    folders = [
        Path("/usr/lib/x86_64-linux-gnu"),
        Path("/usr/local/lib"),
        *Path.home().glob(".pyenv/versions/3.10.*/lib"),
    ]
    return next((f for f in folders if (f / "libpython3.10.so.1.0").is_file()), None)


@pytest.fixture
def resolve(tmp_path: Path) -> Callable[..., tuple[subprocess.CompletedProcess, Path]]:
    """resolve(args, file="sim"): the launch file resolved by play_launch; its process, and the file with the result."""
    return partial(_resolve, tmp_path)


def _resolve(tmp_path: Path, args: dict[str, str], file: str = "sim") -> tuple[subprocess.CompletedProcess, Path]:
    if (folder := _python310()) is None:
        pytest.skip("play_launch needs libpython3.10.so.1.0, which this machine lacks")
    if (tool := shutil.which("play_launch")) is None:
        pytest.skip("play_launch is not installed")
    env = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{os.environ.get('LD_LIBRARY_PATH', '')}:{folder}",
        # its own Python 3.10 imports the graph: yaml and the ament index come from here
        "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{sysconfig.get_path('purelib')}",
    }
    out = tmp_path / "model.yaml"
    given = [f"{name}:={value}" for name, value in args.items()]
    dump = [tool, "dump", "launch", "-o", str(out), "clad_bringup", f"{file}.launch.py", *given]
    return subprocess.run(dump, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60), out
