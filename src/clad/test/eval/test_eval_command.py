"""`clad eval` on real LIBERO with a tiny model: files, resuming, workers, refusals."""

import json
import shutil
import subprocess
import sys
import time

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


def test_results_are_joined_and_compared(evaluate, tmp_path, capsys):
    assert evaluate("--out", "one") == evaluate("--out", "two", "--init", "1", "--seed", "1") == 0
    capsys.readouterr()
    assert main(["eval", "merge", "one", "two/result.json", "--out", "both"]) == 0
    assert "success 0/2 = 0.0 %" in capsys.readouterr().out
    both, _ = rows(tmp_path / "both" / "result.json")
    assert both == rows(tmp_path / "one" / "result.json")[0] + rows(tmp_path / "two" / "result.json")[0]
    assert main(["eval", "merge", "one", "--out", "both"]) == 2
    assert main(["eval", "table", "one", "both"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "| run | 5 | average over tasks | all episodes |"
    assert [line.split("|")[-2].strip() for line in table[2:]] == ["0/1 (0-79 %)", "0/2 (0-66 %)"]


def test_several_tasks_perturbed_are_recorded_and_resumed_only_as_they_were(evaluate, tmp_path, capsys):
    run = ("--task", "5,0", "--visuals", "fast", "--out", "run")
    assert evaluate(*run, "--perturb", "light=0.3", "--perturb", "delay=0.05") == 0
    both, body = rows(tmp_path / "run" / "result.json")
    assert [row["task"] for row in both] == [0, 5] and body["perturbations"] == {"delay": 0.05, "light": 0.3}
    assert (body["execution"], both[0]["timing"]["policy"]["n"]) == ("hold", 3)  # with a delay each step is planned on
    assert "average over 2 tasks 0.0 %" in capsys.readouterr().out
    assert evaluate(*run, "--resume", "--perturb", "light=0.4", "--perturb", "delay=0.05") == 2
    assert "perturbations is {'delay': 0.05, 'light': 0.3}" in capsys.readouterr().err
    assert evaluate(*run, "--resume", "--perturb", "delay=0.05", "--perturb", "light=0.3") == 0
    assert rows(tmp_path / "run" / "result.json")[0] == both


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_and_resumed_no_episode_is_lost_or_repeated(evaluate, tiny_models, tmp_path):
    arguments = "eval --model tiny --max-steps 3 --visuals fast --task 5,0 --episodes 3 --workers 2".split()
    command = [sys.executable, "-m", "clad", *arguments, "--resume", "--out", "run"]
    file, seen = tmp_path / "run" / "result.json", 0
    for _ in range(2):  # twice: a resumed run is killed too
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 200
        while (len(rows(file)[0]) if file.exists() else 0) <= seen and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
        process.wait()
        before = rows(file)[0]
        assert seen < len(before) < 6
        seen = len(before)
    assert subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    resumed = rows(file)[0]
    assert all(row in resumed for row in before)  # with their timing: not run again
    assert evaluate(*arguments[5:], "--out", "whole") == 0
    assert_equal_episodes(resumed, rows(tmp_path / "whole" / "result.json")[0])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ray_gives_the_rows_of_the_process_pool(evaluate, tmp_path):
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    run = ("--task", "5,0", "--episodes", "2", "--visuals", "fast", "--perturb", "light", "--workers", "2")
    assert evaluate(*run, "--out", "pool") == evaluate(*run, "--out", "ray", "--ray") == 0
    pool, ray = rows(tmp_path / "pool" / "result.json")[0], rows(tmp_path / "ray" / "result.json")[0]
    assert len(pool) == 4
    assert_equal_episodes(pool, ray)
    with pytest.raises(AssertionError):
        assert_equal_episodes(pool, ray[:3])


def test_without_ray_the_remedy_is_named(evaluate, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert evaluate("--ray") == 1
    assert "Ray is not installed. Install it: pip install -r requirements/ray.txt" in capsys.readouterr().err


def assert_equal_episodes(a, b):
    for name in ("task", "init_index", "seed", "outcome", "steps", "scene_hash", "action_hash", "state_hash"):
        assert [r[name] for r in a] == [r[name] for r in b], name


@pytest.mark.slow
def test_workers_give_the_same_rows(evaluate, tmp_path):
    assert evaluate("--out", "one", "--episodes", "2") == 0
    assert evaluate("--out", "two", "--episodes", "2", "--workers", "2") == 0
    (a, _), (b, _) = rows(tmp_path / "one" / "result.json"), rows(tmp_path / "two" / "result.json")
    assert_equal_episodes(a, b)


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
        (["--task", "0,99"], "libero_10 has no task 99"),
        (["--task", "0,a"], "'a' is not an integer"),
        (["--perturb", "fog"], "unknown perturbation 'fog'"),
        (["--execution", "blend"], "Add --perturb delay"),
        (["--ray", "--video"], "videos on other machines"),
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
