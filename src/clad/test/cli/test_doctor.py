"""The doctor tells working from broken: each fault below is a real one, made on purpose."""

from __future__ import annotations

import json
import re

import pytest

from clad.cli import doctor
from clad.cli.main import main
from clad.errors import CladError


@pytest.fixture
def checks(monkeypatch):
    """Replace the list of checks, keeping what runs and prints them."""

    def use(**table):
        monkeypatch.setattr(doctor, "CHECKS", table)

    return use


def _fault(error):
    def check():
        raise error

    return check


def test_findings_are_printed_written_and_counted(checks, tmp_path, capsys):
    checks(disk=doctor.disk, arm=_fault(CladError("the arm is off", "Switch it on")), leg=_fault(ImportError("no leg")))
    report = tmp_path / "doctor.json"
    assert main(["doctor", "--json", str(report)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✓ disk: ") and lines[1:3] == ["✗ arm: the arm is off", "    → Switch it on"]
    assert lines[3] == "✗ leg: ImportError: no leg" and lines[-1] == "2 faults: arm, leg"
    body = json.loads(report.read_text())
    assert body["schema"] == 1 and [f["ok"] for f in body["findings"]] == [True, False, False]


def test_all_well_is_exit_0(checks, capsys):
    checks(python=doctor.python)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("everything works\n")


def test_installed_packages_match_the_pins_and_a_wrong_one_is_named(monkeypatch):
    assert re.match(r"\d+ pinned packages", doctor.packages())
    real = doctor.installed
    monkeypatch.setattr(doctor, "installed", lambda name: "3.17.0" if name == "mujoco" else real(name))
    with pytest.raises(CladError, match=r"^mujoco 3\.17\.0 \(pinned 3\.3\.7\)"):
        doctor.packages()


def test_a_gl_backend_draws_a_red_square():
    assert doctor.drawing().startswith("works with ")


def test_an_altered_encoder_is_found(monkeypatch, tmp_path):
    folder = tmp_path / "encoder-x"
    folder.mkdir()
    (folder / "encoder.json").write_text("{}")
    monkeypatch.setenv("CLAD_MODELS_DIR", str(tmp_path))
    with pytest.raises(CladError, match="encoder.json"):
        doctor.models()


def test_an_empty_models_directory_is_a_fault(monkeypatch, tmp_path):
    monkeypatch.setenv("CLAD_MODELS_DIR", str(tmp_path))
    with pytest.raises(CladError, match="no model and no encoder in"):
        doctor.models()


def test_a_full_disk_is_a_fault(monkeypatch):
    monkeypatch.setattr(doctor, "FREE_GIB", 1e9)
    with pytest.raises(CladError, match="GiB free"):
        doctor.disk()
