"""`clad sim` refuses what cannot be run before anything is started: one line, exit code 2."""

from __future__ import annotations

import pytest

from clad.cli.main import main


@pytest.fixture
def models(tiny_models, monkeypatch, tmp_path):
    monkeypatch.setenv("CLAD_MODELS_DIR", str(tiny_models))
    monkeypatch.chdir(tmp_path)
    return tiny_models


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "tinny"], "unknown model 'tinny'. Did you mean tiny?"),
        (["--suite", "libero_11"], "Valid: libero_10, libero_90"),
        (["--task", "10"], "libero_10 has no task 10"),
        (["--init", "50"], "no evaluation state 50"),
        (["--seed", str(2**32)], "4294967296 is too large"),
        (["--seed", str(2**32 - 1), "--episodes", "2"], "The largest is 4294967295"),
        (["--resume"], "--resume needs the --out"),
    ],
)
def test_names_and_numbers_that_do_not_exist(models, capsys, arguments, said):
    assert main(["sim", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_an_earlier_result_is_not_overwritten(models, capsys, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json").write_text("{}")
    assert main(["sim", "--out", "out"]) == 2
    assert "--resume" in capsys.readouterr().err


def test_where_nothing_can_be_written_is_said_before_anything_is_started(models, capsys):
    assert main(["sim", "--out", "/proc/runs"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("clad: /proc/runs cannot be written to: ") and "--out" in error and error.count("\n") == 1
    assert main(["sim", "--out", "out", "--json", "/proc/result.json"]) == 1
    assert "Give another --json" in capsys.readouterr().err
    assert main(["sim", "--out", "out", "--json", "/"]) == 2
    assert capsys.readouterr().err == "clad: --json '/' is no file's name. Give e.g. --json result.json\n"
