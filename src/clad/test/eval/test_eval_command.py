"""`clad eval` on real LIBERO with a tiny model: files, resuming, workers, refusals."""

import json
import shutil

import onnxruntime as ort
import pytest

from clad.cli.main import main

pytest.importorskip("libero", reason="LIBERO is not installed")


@pytest.fixture
def evaluate(tiny_models, monkeypatch, tmp_path):
    monkeypatch.setenv("CLAD_MODELS_DIR", str(tiny_models))
    monkeypatch.chdir(tmp_path)
    return lambda *options: main(["eval", "--model", "tiny", "--max-steps", "3", *options])


def rows(file):
    body = json.loads(file.read_text())
    return body["episodes"], body


def test_runs_refuses_to_overwrite_and_resumes(evaluate, tmp_path, capsys):
    assert evaluate("--out", "run", "--json", "copy.json", "--video") == 0
    first, body = rows(tmp_path / "run" / "result.json")
    assert (body["suite"], first[0]["task"], body["mode"], body["protocol"]) == ("libero_10", 5, "lockstep", "exact")
    assert rows(tmp_path / "copy.json")[0] == first
    assert (tmp_path / "run" / first[0]["video"]).stat().st_size > 1000
    assert first[0]["timing"]["gl_backend"] in ("egl", "osmesa")
    assert "success 0/1 = 0.0 %" in capsys.readouterr().out

    assert evaluate("--out", "run") == 2
    assert "exists already. Add --resume" in capsys.readouterr().err

    assert evaluate("--out", "run", "--resume", "--episodes", "2") == 0
    both, body = rows(tmp_path / "run" / "result.json")
    assert both[0] == first[0] and (both[1]["init_index"], both[1]["seed"], body["n"]) == (1, 1, 2)


def test_blind_acts_differently_in_the_same_scene_and_says_so(evaluate, tmp_path):
    assert evaluate("--out", "seeing") == evaluate("--out", "blind", "--blind") == 0
    (seeing, _), (blind, body) = rows(tmp_path / "seeing" / "result.json"), rows(tmp_path / "blind" / "result.json")
    assert body["model"]["name"] == "tiny-blind"
    assert seeing[0]["scene_hash"] == blind[0]["scene_hash"] and seeing[0]["action_hash"] != blind[0]["action_hash"]


@pytest.mark.slow
def test_workers_give_the_same_rows(evaluate, tmp_path):
    assert evaluate("--out", "one", "--episodes", "2") == 0
    assert evaluate("--out", "two", "--episodes", "2", "--workers", "2") == 0
    (a, _), (b, _) = rows(tmp_path / "one" / "result.json"), rows(tmp_path / "two" / "result.json")
    for name in ("init_index", "seed", "outcome", "steps", "scene_hash", "action_hash", "state_hash"):
        assert [r[name] for r in a] == [r[name] for r in b]


def test_what_fails_in_a_worker_reaches_the_user_whole(evaluate, capsys):
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    assert evaluate("--provider", "cuda", "--workers", "2", "--episodes", "2") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("clad: provider 'cuda' is not in this ONNX Runtime") and "Install onnxruntime-gpu" in last


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--suite", "libero_11"], "unknown suite 'libero_11'"),
        (["--task", "99"], "libero_10 has no task 99"),
        (["--init", "50"], "no evaluation state 50. Valid: 0 to 49"),
        (["--model", "tinny"], "unknown model 'tinny'"),
        (["--resume"], "--resume needs the --out"),
        (["--scenes", "sampled", "--seed-base", "5"], "validation seed 5 may be a demonstration's"),
        (["--scenes", "sampled", "--seed", "5"], "With --scenes sampled give --seed-base"),
    ],
)
def test_bad_requests_are_one_line(evaluate, capsys, options, message):
    assert evaluate(*options) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_a_damaged_model_is_refused_before_anything_runs(evaluate, tiny_models, tmp_path, capsys):
    broken = shutil.copytree(tiny_models / "tiny", tmp_path / "broken")
    (broken / "planner.onnx").write_bytes(b"")
    assert evaluate("--model", str(broken)) == 1
    assert "planner.onnx is truncated" in capsys.readouterr().err
