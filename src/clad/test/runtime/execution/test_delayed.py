"""Late chunks in a loop without ROS: what acts when, against the timing written out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clad.contract import load_contract, native_to_wire, wire_to_native
from clad.runtime.execution import STRATEGIES, DelayedExecution, delay_steps
from clad.runtime.types import Chunk

CONTRACT = load_contract("libero")
H = 6


def made(step: int, offset: float = 0.0) -> Chunk:
    """dx says in hundredths at which control step a row is due, dy at which it was made."""
    native = np.zeros((H, 7))
    native[:, 0] = np.arange(step, step + H) / 100
    native[:, 1] = step / 100 + offset
    native[:, 6] = 1.0
    return Chunk(step=step, values=native_to_wire(native, CONTRACT.action).astype(np.float32), policy_latency=0.0)


def roll(strategy, delays, *, steps=60, execute_steps=0, every=1):
    """(planned at, due, made at, flag) per control step; delays: chunk number -> steps or None."""
    execution = DelayedExecution(CONTRACT, strategy, execute_steps=execute_steps, every=every)
    planned, rows = [], []
    for step in range(steps):
        if execution.wants_plan(step):
            execution.past(step)
            execution.submit(made(step), delay=delays(len(planned)))
            planned.append(step)
        action, due = execution.action(step)
        rows.append((due.flag, round(action[0] * 100), round(action[1] * 100), action[6]))
    return planned, rows


@given(delay=st.integers(0, 8), every=st.integers(1, 6))
def test_hold_executes_the_newest_chunk_that_has_arrived(delay, every):
    planned, rows = roll("hold", lambda i: delay, every=every)
    assert planned == list(range(0, 60, every))
    for step, (flag, due, source, _) in enumerate(rows):
        arrived = [p for p in planned if p + delay <= step]
        if arrived and step < arrived[-1] + H:
            assert (flag, due, source) == ("ok", step, arrived[-1])
        else:
            assert flag != "ok" and (due, source) == (0, 0)


@given(delay=st.integers(0, H - 1), execute=st.integers(1, H))
def test_sync_alternates_between_waiting_and_executing(delay, execute):
    planned, rows = roll("sync", lambda i: delay, execute_steps=execute)
    assert planned == list(range(0, 60, delay + execute))
    for step, (flag, due, source, _) in enumerate(rows):
        phase = step % (delay + execute)
        assert (flag == "ok") == (phase >= delay)
        if flag == "ok":  # from its first row, whatever the delay
            assert source == step - phase and due == source + phase - delay


@given(strategy=st.sampled_from(sorted(set(STRATEGIES) - {"sync"})), seed=st.integers(0, 999))
def test_with_jitter_and_losses_every_value_acts_at_its_time(strategy, seed):
    rng = np.random.default_rng(seed)
    delays = [None if rng.random() < 0.2 else int(rng.integers(0, 8)) for _ in range(60)]
    _, rows = roll(strategy, lambda i: delays[i])
    assert all(due == step for step, (flag, due, *_) in enumerate(rows) if flag == "ok")
    assert any(flag == "ok" for flag, *_ in rows)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_without_delay_it_is_the_plain_loop(strategy):
    if strategy == "sync":
        planned, rows = roll(strategy, lambda i: 0, execute_steps=3)
    else:
        planned, rows = roll(strategy, lambda i: 0, execute_steps=3, every=3)
    assert planned == list(range(0, 60, 3))
    expected = [native for s in planned for native in wire_to_native(made(s).values[:3], CONTRACT.action)]
    if strategy in ("sync", "hold", "rtc"):
        assert [(r[1], r[2]) for r in rows] == [(round(a[0] * 100), round(a[1] * 100)) for a in expected]
    assert all(r[0] == "ok" for r in rows)


def test_a_hold_stands_still_and_keeps_the_gripper():
    _, rows = roll("hold", lambda i: 2 if i == 0 else None, steps=12)
    assert rows[0] == ("no_chunk", 0, 0, -1.0) and rows[2][3] == 1.0
    assert rows[6][0] in ("past_end", "expired") and rows[6][1:] == (0, 0, 1.0)


def test_rtc_tells_the_policy_what_acts_until_its_chunk_arrives():
    execution = DelayedExecution(CONTRACT, "rtc")
    for step in range(12):
        committed = execution.past(step)["committed"]
        if step > 3:  # the first chunk acts at step 2: from then on the delay is known
            assert committed.frozen == 2
            assert np.array_equal(committed.values, made(step - 1).values[1:])
        execution.submit(made(step), delay=2)
        execution.action(step)
    other = DelayedExecution(CONTRACT, "hold")
    other.submit(made(0), delay=1)
    other.action(1)
    assert other.past(1)["committed"] is None


def test_quaternions_are_not_averaged():
    with pytest.raises(Exception, match="quaternions"):
        DelayedExecution(replace(CONTRACT, action=replace(CONTRACT.action, representation="EE_POSE")), "blend")


@given(steps=st.integers(0, 500), rate=st.sampled_from([10.0, 20.0, 25.0, 30.0, 125.0]), part=st.floats(1e-6, 1.0))
def test_a_latency_is_rounded_up_to_control_steps_and_whole_ones_stay_whole(steps, rate, part):
    assert delay_steps(steps / rate, rate) == delay_steps(1000 * steps / rate / 1000, rate) == steps
    assert delay_steps((steps + part) / rate, rate) == steps + 1
