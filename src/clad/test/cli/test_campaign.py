"""`clad campaign` says what it would do, and refuses what cannot be done, before anything is started."""

from __future__ import annotations

import json

import pytest

from clad.campaign import disk
from clad.cli.main import main


@pytest.fixture
def run(tiny_models, monkeypatch, tmp_path, capsys):
    """run(text, *options): (exit code, what was said) of a campaign with this YAML."""
    monkeypatch.setenv("CLAD_MODELS_DIR", str(tiny_models))
    monkeypatch.chdir(tmp_path)

    def run(text: str, *options: str) -> tuple[int, str]:
        (tmp_path / "mine.yaml").write_text(text)
        code = main(["campaign", "mine.yaml", *options])
        out, error = capsys.readouterr()
        assert not out
        return code, error

    return run


def test_a_dry_run_says_what_it_would_do_and_leaves_nothing(run, tmp_path):
    code, said = run("model: tiny\ninit: 0-4\nmode: [lockstep, free-run]\ndelay_ms: [0, 100]", "--dry-run")
    assert code == 0
    lines = said.splitlines()
    assert lines[0] == "3 conditions, 15 episodes, 0 done; a graph for each condition"
    assert lines[2].split(":")[0].strip() == "tiny-exact-full-free-run-hold-0ms" and "5 episodes, 0 done" in lines[2]
    assert lines[-1].startswith(f"{tmp_path}/runs/campaign-mine: at most 0.") and "GB free" in lines[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_what_does_not_fit_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 10**9)
    code, said = run("model: tiny\ninit: 0-49\nmode: free-run", "--dry-run")
    assert code == 1 and "Free some, give an --out on another disk" in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: tinny", "unknown model 'tinny'. Did you mean tiny?"),
        ("model: tiny\ntask: 10", "libero_10 has no task 10"),
        ("model: tiny\nsuite: libero_11", "Valid: libero_10"),
        ("model: tiny\ninit: 48-50", "no evaluation state 50. Valid: 0 to 49"),
        ("model: tiny\nrobot: fake", "model 'tiny' was trained for robot 'libero'"),
        ("robot: faek", "faek"),
        ("reset: operatr", "Did you mean operator?"),
        ("robot: fake\noutcome: operator", "there is no terminal to ask at. Run it in a terminal"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run, tmp_path, text, said):
    code, error = run(text)
    assert code in (1, 2) and said in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_folder_of_another_campaign_is_not_gone_on_with(run, tmp_path):
    (tmp_path / "out").mkdir()
    body = {"schema": 1, "settings": {"name": "other"}, "conditions": {}, "episodes": []}
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(body))
    code, said = run("model: tiny", "--out", "out", "--dry-run")
    assert code == 2 and "was made with name other, not mine" in said
