"""What training says and records, and the precision that it computes in."""

from __future__ import annotations

import json
import re

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from clad.model.config import OptimConfig
from clad.train import loop
from clad.train.loop import Mute, autocast, open_log
from clad.train.team import ALONE, Team


@pytest.fixture
def clock(monkeypatch):
    """The log's clock, moved by the test."""
    now = [100.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    return now


def test_the_line_says_how_far_how_quick_and_how_long_still(tmp_path, clock, capsys):
    log = open_log(ALONE, tmp_path, steps=1000, start=100, max_minutes=2.0)
    clock[0] += 5
    log.tick(150)
    assert capsys.readouterr().err == "", "not more often than every ten seconds"
    clock[0] += 15
    log.tick(200)  # 100 steps of this process in 20 s; 800 are left
    assert re.search(r"step 200/1000  5\.0/s  2\.7 min left", capsys.readouterr().err)
    assert not log.out_of_time
    clock[0] += 101
    assert log.out_of_time
    log.close()


def test_each_validation_is_a_row_and_scalars_and_a_resumed_run_replaces_what_it_repeats(tmp_path):
    for start in (0, 10):
        log = open_log(ALONE, tmp_path, steps=30, start=start, max_minutes=0.0)
        for step in range(start + 10, 31, 10):
            log.write(step, {"loss": start + step / 10}, "best")
        log.close()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[:3] == [{"step": s, "loss": s / 10} for s in (10, 20, 30)] and len(rows) == 5
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(10, 1.0), (20, 12.0), (30, 13.0)]


def test_only_the_first_process_records(tmp_path):
    log = open_log(Team(rank=1, size=2), tmp_path / "run", steps=3, start=0, max_minutes=1e-9)
    assert isinstance(log, Mute) and not log.out_of_time
    log.tick(1), log.write(1, {"loss": 0.0}), log.close()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_products_are_computed_in_the_configured_precision_and_weights_stay_float32(precision, dtype):
    linear = torch.nn.Linear(3, 2)
    with autocast(OptimConfig(steps=1, precision=precision), torch.device("cpu")):
        out = linear(torch.ones(1, 3))
    out.float().sum().backward()
    assert out.dtype == dtype and linear.weight.dtype == linear.weight.grad.dtype == torch.float32
