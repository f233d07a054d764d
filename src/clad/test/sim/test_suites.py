"""Suites and tasks by name and number; choosing a GL backend. No environment is built here."""

import os
import subprocess
import sys

import pytest

from clad.errors import CladError, UsageError
from clad.sim import gl, suites, upstream


def test_published_facts():
    info = suites.task_info("libero_10", 5)
    assert info.instruction == "pick up the book and place it in the back compartment of the caddy"
    assert (info.n_init_states, info.max_steps) == (50, 520)
    assert info.bddl.is_file()
    assert {s: suites.n_tasks(s) for s in suites.SUITES} == {
        "libero_spatial": 10,
        "libero_object": 10,
        "libero_goal": 10,
        "libero_10": 10,
        "libero_90": 90,
    }


def test_evaluation_states_cannot_be_altered():
    with pytest.raises(ValueError):
        suites.init_states("libero_10", 5)[0, 0] = 1.0


@pytest.mark.parametrize(
    ("suite", "task", "names"),
    [
        ("libero_1O", 0, "libero_10"),
        ("libero_10", 10, "0..9"),
        ("libero_10", -1, "pick up the book"),
        ("libero_90", 90, "0..89"),
    ],
)
def test_unknown_names_are_refused_with_the_valid_ones(suite, task, names):
    with pytest.raises(UsageError, match=names):
        suites.task_info(suite, task)


def test_task_facts_need_no_simulator():
    code = "import sys; from clad.sim import suites; suites.task_info('libero_10', 0); print('mujoco' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_unknown_backend_is_refused():
    with pytest.raises(UsageError, match="osmesa"):
        gl.choose_backend("glfw")


@pytest.mark.parametrize(
    ("wish", "works", "chosen"), [("auto", {"osmesa"}, "osmesa"), ("egl", {"egl", "osmesa"}, "egl")]
)
def test_backend_choice(monkeypatch, wish, works, chosen):
    monkeypatch.setattr(gl, "_works", lambda backend: backend in works)
    monkeypatch.setattr(gl.sys, "modules", {})
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM"):
        monkeypatch.setenv(name, "")
    assert gl.choose_backend(wish) == chosen
    assert os.environ["MUJOCO_GL"] == os.environ["PYOPENGL_PLATFORM"] == chosen


def test_missing_backend_names_the_packages(monkeypatch):
    monkeypatch.setattr(gl, "_works", lambda backend: False)
    monkeypatch.setattr(gl.sys, "modules", {})
    monkeypatch.setenv("MUJOCO_GL", "")
    with pytest.raises(CladError, match="libegl1.*libosmesa6"):
        gl.choose_backend("auto")


def test_a_backend_that_comes_too_late_is_refused(monkeypatch):
    monkeypatch.setattr(gl.sys, "modules", {"robosuite": object()})
    monkeypatch.setenv("MUJOCO_GL", "egl")
    assert gl.choose_backend("auto") == "egl"
    with pytest.raises(UsageError, match="already"):
        gl.choose_backend("osmesa")


@pytest.mark.parametrize(
    ("config", "said"),
    [("assets: /nowhere", "LIBERO's assets are missing: there is no /nowhere"), ("- assets", "must be a mapping")],
)
def test_a_configuration_that_leads_nowhere_is_named(config, said, tmp_path, monkeypatch):
    """Users of upstream's own installation have such a file, with folders of another machine or day."""
    (tmp_path / "config.yaml").write_text(config)
    monkeypatch.setenv("LIBERO_CONFIG_PATH", str(tmp_path))
    with pytest.raises(CladError, match=said):
        upstream.path("assets")
