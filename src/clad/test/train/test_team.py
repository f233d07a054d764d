"""Two processes train what one trains: the same batches, averaged gradients, one of them writes, and they resume."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import psutil
import pytest
import torch
from safetensors.torch import load_file
from tiny_demos import write_reach_demos

from clad.cli.main import main
from clad.errors import UsageError
from clad.model.dynamics import Observed
from clad.train import run as runs
from clad.train.team import Team

pytestmark = pytest.mark.timeout(400)  # seconds of work, but of CPU time that others may be using

TINY = [
    *("planner.width=16", "planner.hidden=32", "planner.heads=2"),
    *("policy.width=32", "policy.observation=16", "policy.blocks=1", "data.validation=0.4"),
    *("train_planner.batch=16", "train_planner.warmup=1", "train_planner.evaluate_every=3"),
    *("train_policy.batch=16", "train_policy.warmup=1", "train_policy.evaluate_every=3"),
]
# what networks draw inside themselves, which each process draws for itself
STILL = ["planner.dropout=0", "planner.mask_ratio=0", "policy.dropout=0"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory, tiny_models):
    root = tmp_path_factory.mktemp("reach")
    write_reach_demos(root / "demos" / "reach_demo.hdf5", 12, length=10)
    encoder = str(tiny_models / "encoder-tiny")
    assert main(["encode", "--demos", str(root / "demos"), "--encoder", encoder, "--out", str(root / "features")]) == 0
    return root / "features"


def command(stage: str, out, cache, *more: str, settings=(), processes: int = 2, steps: int = 6) -> list[str]:
    changes = [part for setting in (*TINY, *settings) for part in ("--set", setting)]
    return [
        *("train", stage, "--features", str(cache), "--out", str(out), "--steps", str(steps), *changes),
        *("--processes", str(processes), *more),
    ]


def run(arguments: list[str]) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, "-m", "clad", *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def curve(run) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def planners(cache, tmp_path_factory):
    """The same planner trained by one process and by two; and what the two said."""
    out = tmp_path_factory.mktemp("planners")
    assert main(command("planner", out / "one", cache, settings=STILL, processes=1)) == 0
    return out / "one", out / "two", run(command("planner", out / "two", cache, settings=STILL)).stdout


def same_training(one, two) -> None:
    """Equal loss curves, weights and optimiser, up to the order of sums; the random state bit for bit."""
    for a, b in zip(curve(one), curve(two), strict=True):
        assert b == {name: pytest.approx(value, rel=2e-5, abs=1e-6) for name, value in a.items()}
    for name in (runs.WEIGHTS, runs.STATE):
        a, b = (load_file(folder / name) for folder in (one, two))
        assert a.keys() == b.keys()
        if name == runs.STATE:
            assert torch.equal(a["rng"], b["rng"])
        for key in a.keys() - {"rng"}:
            # a softmax does not see its keys' bias: the gradient is rounding alone, which Adam takes for a direction
            if not key.endswith("key.bias") and not key.startswith("optimizer"):
                assert torch.allclose(a[key], b[key], rtol=1e-3, atol=2e-5), key


def test_two_processes_train_the_planner_that_one_trains(planners):
    one, two, said = planners
    same_training(one, two)
    assert len(list((two / "tensorboard").glob("events*"))) == 1
    assert said.count("M parameters") == said.count("step 6/6") == 1, "one process speaks"


@pytest.mark.slow
def test_two_processes_train_the_policy_that_one_trains(planners, cache, tmp_path):
    planner = ["--planner", str(planners[0])]
    assert main(command("policy", tmp_path / "one", cache, *planner, settings=STILL, processes=1)) == 0
    run(command("policy", tmp_path / "two", cache, *planner, settings=STILL))
    same_training(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_two_processes_resume_exactly(cache, tmp_path):
    """With dropout and masks, which each process draws for itself."""
    run(command("planner", tmp_path / "whole", cache))
    run(command("planner", tmp_path / "halves", cache, "--max-minutes", "1e-6"))
    assert runs.read_info(tmp_path / "halves", "planner")[1]["step"] == 1
    run(command("planner", tmp_path / "halves", cache, "--resume"))
    whole, halves = (load_file(tmp_path / name / runs.STATE) for name in ("whole", "halves"))
    assert all(torch.equal(whole[k], halves[k]) for k in whole)


@pytest.mark.slow
def test_when_one_process_is_killed_all_end_and_the_run_can_go_on(cache, tmp_path):
    arguments = command("planner", tmp_path / "run", cache, steps=10**6)
    begun = subprocess.Popen([sys.executable, "-m", "clad", *arguments], stderr=subprocess.PIPE, text=True)
    workers = []
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "run" / runs.STATE).exists():
            assert begun.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        workers = [p for p in psutil.Process(begun.pid).children() if "train" in p.cmdline()]
        workers[1].kill()
        error = begun.communicate(timeout=120)[1]
    finally:
        begun.kill()
    assert len(workers) == 2 and begun.returncode == 1
    assert "clad: process 1 was killed by SIGKILL. --resume goes on" in error
    assert not any(p.is_running() for p in workers)
    step = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    run([*command("planner", tmp_path / "run", cache, "--resume", steps=10**6), "--max-minutes", "1e-6"])
    assert curve(tmp_path / "run")[-1]["step"] > step


def test_each_process_has_its_part_and_its_own_randomness():
    batch = (torch.arange(6), Observed(torch.arange(12).reshape(6, 2), torch.arange(6)))
    parts = [Team(rank=rank, size=3).part(batch) for rank in range(3)]
    assert isinstance(parts[0][1], Observed)
    assert torch.equal(torch.cat([p[0] for p in parts]), batch[0])
    assert torch.equal(torch.cat([p[1].proprio for p in parts]), batch[1].proprio)
    assert Team().part(batch) is batch
    torch.manual_seed(0)
    common, drawn = torch.get_rng_state(), []
    for rank in (0, 1, 0):
        with Team(rank=rank, size=2).own_randomness(seed=3, step=5):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])
    assert torch.equal(torch.get_rng_state(), common)
    with pytest.raises(UsageError, match="a batch of 64 does not split over 3 processes"):
        Team(size=3).require_parts(64)


def test_a_batch_that_does_not_split_is_refused_before_anything_starts(cache, tmp_path, capsys):
    assert main(command("planner", tmp_path / "x", cache, processes=3)) == 2
    assert "does not split over 3" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_process_refuses_is_the_commands_exit_code(cache, tmp_path):
    arguments = [sys.executable, "-m", "clad", *command("planner", tmp_path / "x", cache, "--resume")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "nothing to resume" in done.stderr and "Traceback" not in done.stderr
