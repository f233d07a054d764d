"""The delay study: what is injected, what a row says, and that an interruption loses nothing."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clad.cli.main import main
from clad.errors import CladError, UsageError
from clad.eval.episodes import EpisodeSpec
from clad.eval.stats import wilson
from clad.runtime.bundle import load_bundle
from clad.runtime.planner import Planner
from clad.runtime.policy import Policy
from clad.study import delay, record
from clad.study.delay import Condition, Injected

SPEC = EpisodeSpec(suite="libero_object", task=0, init_index=None, seed=100_000)


class Still:
    """A scene in which nothing happens until step `done_at`."""

    instruction = "pick up the book"

    def __init__(self, contract, make_observation, done_at):
        self.contract, self._make, self._done_at, self._step, self.actions = contract, make_observation, done_at, 0, []

    def reset_sampled(self, seed):
        self._step, self._seed = 0, seed

    def observe(self):
        return self._make(self._step, self._seed)

    def step(self, action):
        self.actions.append(action)
        self._step += 1
        return SimpleNamespace(done=self._step == self._done_at)


@pytest.fixture(scope="module")
def model(tiny_models, contract):
    bundle = load_bundle(tiny_models / "tiny")
    return bundle, Planner(bundle, contract), Policy(bundle, contract)


def roll(model, contract, make_observation, *, done_at=99, max_steps=20, **injected):
    bundle, planner, policy = model
    env = Still(contract, make_observation, done_at)
    condition = Condition(**{"execution": "hold", "delay_ms": 0.0, **injected})
    return delay.run_delayed(
        env, planner, policy, SPEC, condition, execute_steps=bundle.execute_steps, max_steps=max_steps
    ), env


@given(delay_ms=st.floats(0, 500), jitter_ms=st.floats(0, 200), drop=st.floats(0, 0.9))
def test_what_is_injected_is_within_its_bounds_and_the_same_for_every_strategy(delay_ms, jitter_ms, drop):
    def draw(execution):
        condition = Condition(execution=execution, delay_ms=delay_ms, jitter_ms=jitter_ms, drop=drop)
        injected = Injected(condition, 7)
        return [injected.next_ms() for _ in range(50)]

    drawn = draw("hold")
    assert drawn == draw("sync")
    assert all(delay_ms <= d <= delay_ms + jitter_ms for d in drawn if d is not None)
    assert drop or None not in drawn


def test_losses_come_at_their_rate():
    injected = Injected(Condition(execution="hold", delay_ms=0, drop=0.3), 1)
    lost = sum(injected.next_ms() is None for _ in range(4000))
    assert 1100 < lost < 1300  # 3.5 standard deviations about 1200
    for wrong in ({"delay_ms": -1}, {"delay_ms": 0, "drop": 1.0}, {"delay_ms": 0, "jitter_ms": float("nan")}):
        with pytest.raises(UsageError):
            Condition(execution="hold", **wrong)


def test_a_row_says_how_long_it_held_and_why(model, contract, make_observation):
    row, _ = roll(model, contract, make_observation, delay_ms=100.0)
    assert row["hold_s"] == {"no_chunk": 0.1} and row["held_share"] == 2 / 20
    assert (row["steps"], row["chunks"], row["success"]) == (20, 20, False)
    assert row["motion"]["seam_velocity_m_p99"] > 0 and row["motion"]["within_velocity_m_p99"] > 0
    json.dumps(row, allow_nan=False)
    row, env = roll(model, contract, make_observation, delay_ms=100.0, done_at=5)
    assert (row["steps"], row["success"], len(env.actions)) == (5, True, 5)


@pytest.mark.parametrize("execution", ["hold", "sync"])
def test_a_chunk_that_comes_after_its_last_step_never_acts(model, contract, make_observation, execution):
    length = model[0].horizon
    row, env = roll(model, contract, make_observation, delay_ms=length * 50.0, execution=execution)
    assert row["held_share"] == 1 and not np.array(env.actions)[:, :6].any()
    assert row["motion"]["seam_velocity_m_ratio"] is None
    row, env = roll(model, contract, make_observation, delay_ms=(length - 1) * 50.0, execution=execution)
    assert 0 < row["held_share"] < 1 and np.array(env.actions)[:, :6].any()


def test_a_warm_start_begins_at_the_chunk_before(model, contract, make_observation, monkeypatch):
    bundle, planner, _ = model
    policy, told = Policy(bundle, contract, warm_start=True), []
    act = policy.act
    monkeypatch.setattr(policy, "act", lambda f, **past: told.append((f.step, past["previous"])) or act(f, **past))
    for _ in range(2):  # the second episode knows nothing of the first
        row, _ = roll((bundle, planner, policy), contract, make_observation, delay_ms=50.0, max_steps=4)
        assert [(s, p and p.step) for s, p in told] == [(0, None), (1, 0), (2, 1), (3, 2)]
        told.clear()
    cold, _ = roll(model, contract, make_observation, delay_ms=50.0, max_steps=4)
    assert row["motion"] != cold["motion"]


def test_it_repeats_and_latency_changes_it(model, contract, make_observation):
    first, again, rough = (
        roll(model, contract, make_observation, delay_ms=50.0, **more)[0]
        for more in ({}, {}, {"jitter_ms": 100.0, "drop": 0.3})
    )
    assert first == again and first["motion"] != rough["motion"]


def made_up(seed, success, *, execution="hold", ratio=1.0):
    condition = {"execution": execution, "delay_ms": 50.0, "jitter_ms": 0.0, "drop": 0.0}
    return {**condition, "suite": "s", "task": 0, "seed": seed, "success": success, "held_share": 0.25,
            "motion": {"seam_velocity_m_ratio": ratio}}  # fmt: skip


def test_the_table_has_a_line_a_condition():
    rows = [made_up(i, i < 3, ratio=float(i)) for i in range(5)] + [made_up(0, False, execution="sync", ratio=None)]
    hold, sync = record.table(rows)
    assert (hold["n"], hold["successes"], hold["held_share"]) == (5, 3, 0.25)
    assert (hold["wilson_low"], hold["wilson_high"]) == wilson(3, 5)
    assert (hold["seam_ratio_m_q25"], hold["seam_ratio_m"], hold["seam_ratio_m_q75"]) == (1.0, 2.0, 3.0)
    assert sync["seam_ratio_m"] is None and "sync" in record.text([hold, sync])


def test_a_study_goes_on_only_with_its_own_settings(tmp_path):
    file = tmp_path / record.FILE
    study = record.Study.resume(file, {"visuals": "fast"})
    study.rows.append(made_up(1, True))
    study.write(file)
    spec = EpisodeSpec(suite="s", task=0, init_index=None, seed=1)
    again = record.Study.resume(file, {"visuals": "fast"})
    assert again.has(spec, Condition(execution="hold", delay_ms=50)) and again.rows == study.rows
    assert not again.has(spec, Condition(execution="hold", delay_ms=100))
    with pytest.raises(UsageError, match="visuals fast, not full"):
        record.Study.resume(file, {"visuals": "full"})
    file.write_text(file.read_text()[:-30])
    with pytest.raises(CladError, match="damaged"):
        record.Study.resume(file, {"visuals": "fast"})


@pytest.mark.timeout(300)
def test_an_interrupted_study_loses_nothing_and_runs_nothing_twice(tiny_models, monkeypatch, tmp_path, capsys):
    pytest.importorskip("libero", reason="LIBERO is not installed")
    monkeypatch.setenv("CLAD_MODELS_DIR", str(tiny_models))
    real, ran = delay.run_delayed, []

    def interrupted_at_the_third(*args, **kwargs):
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(args[4])
        return real(*args, **kwargs)

    command = ["study", "delay", "--model", "tiny", "--suite", "libero_object", "--task", "0", "--max-steps", "3"]
    command += ["--execution", "hold", "blend", "--delay", "0", "50", "--out", str(tmp_path)]
    monkeypatch.setattr(delay, "run_delayed", interrupted_at_the_third)
    assert main(command) == 130
    before = json.loads((tmp_path / "study.json").read_text())["rows"]
    monkeypatch.setattr(delay, "run_delayed", lambda *a, **k: ran.append(a[4]) or real(*a, **k))
    assert main(command) == 0
    rows = json.loads((tmp_path / "study.json").read_text())["rows"]
    assert rows[:2] == before and len(rows) == len(ran) == len(set(ran)) == 4
    assert {(r["execution"], r["delay_ms"], r["steps"]) for r in rows} == {
        (e, d, 3) for e in ("hold", "blend") for d in (0, 50)
    }
    lines = list(csv.DictReader((tmp_path / "study.csv").open()))
    assert len(lines) == 4 and {line["n"] for line in lines} == {"1"}
    for picture in ("success", "seam", "jerk", "held"):
        assert (tmp_path / f"{picture}.png").read_bytes()[:4] == b"\x89PNG"
    assert "150" not in capsys.readouterr().out
    assert main([*command, "--max-steps", "4"]) == 2
