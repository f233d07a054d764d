"""What an executor takes, what it refuses, and that nothing acts at the wrong time."""

from dataclasses import replace

import numpy as np
import pytest
from chunk_timeline import DT, SPEC, T0, arrivals, chunk
from hypothesis import given
from hypothesis import strategies as st

from clad.errors import UsageError
from clad.runtime.execution import HOLDS, REFUSALS, STRATEGIES, ChunkExecutor

TIMED = [name for name in STRATEGIES if name != "sync"]


def play(executor, heard, ticks):
    """(now, sample) of every tick, chunks being accepted when they arrive."""
    heard, found = list(heard), []
    for now in ticks:
        while heard and heard[0][0] <= now:
            executor.accept(heard[0][1], heard[0][0])
            heard.pop(0)
        found.append((now, executor.action(now)))
    return found


@pytest.mark.parametrize("strategy", TIMED)
@given(heard=arrivals(), phase=st.integers(0, DT - 1))
def test_no_value_acts_before_or_after_its_time(strategy, heard, phase):
    """Whatever arrives in whatever order: channel 0 holds the control step that a row is due at."""
    ticks = [T0 + phase + k * DT for k in range(60)]
    for now, due in play(ChunkExecutor(strategy, SPEC), heard, ticks):
        assert (due.action is None) == (due.flag != "ok") and (due.flag == "ok" or due.flag in HOLDS)
        if due.action is not None:
            assert due.action[0] == pytest.approx((now - T0) // DT, abs=1e-5)


@pytest.mark.parametrize("strategy", TIMED)
@given(heard=arrivals(), phase=st.integers(0, DT - 1))
def test_it_acts_exactly_while_an_accepted_chunk_has_a_step(strategy, heard, phase):
    ticks = [T0 + phase + k * DT for k in range(60)]
    executor = ChunkExecutor(strategy, SPEC)
    pending, newest = list(heard), None
    for now in ticks:
        while pending and pending[0][0] <= now:
            arrived, c = pending.pop(0)
            expected = arrived < c.end and (newest is None or c.seq > newest.seq)
            assert (executor.accept(c, arrived) == "accepted") == expected
            newest = c if expected else newest
        covered = newest is not None and newest.start <= now < newest.end
        if strategy in ("hold", "rtc"):
            assert (executor.action(now).action is not None) == covered
        elif covered:
            assert executor.action(now).action is not None


@given(heard=arrivals(), phase=st.integers(0, DT - 1), execute=st.integers(0, 4))
def test_sync_executes_from_step_0_what_was_seen_at_rest(heard, phase, execute):
    executor, acting, expected = ChunkExecutor("sync", SPEC, execute_steps=execute), None, 0
    heard, moved_at = list(heard), -1
    for now in [T0 + phase + k * DT for k in range(60)]:
        for arrived, c in [h for h in heard if h[0] <= now]:
            if executor.accept(c, arrived) == "accepted":
                assert c.obs_stamp > moved_at  # the last step had begun, and was over, before the observation
                acting, expected = c, None
            heard.remove((arrived, c))
        due = executor.action(now)
        if due.action is None:
            continue
        assert due.seq == acting.seq and due.index < (execute or 99)
        if expected is not None:
            assert due.index == expected  # one after the other
        assert due.action[0] == acting.values[due.index][0]
        expected, moved_at = due.index + 1, now


def test_sync_begins_at_step_0_however_late():
    executor = ChunkExecutor("sync", SPEC, execute_steps=3)
    now = T0 + 4 * DT
    assert executor.accept(chunk(0, 1), now) == "accepted"
    assert [executor.action(now + k * DT).index for k in range(3)] == [0, 1, 2]
    assert executor.action(now + 3 * DT).flag == "past_end"
    assert executor.accept(chunk(6, 2), now + 3 * DT) == "moving"
    assert executor.accept(chunk(7, 3), now + 5 * DT) == "accepted"
    assert executor.refused == {"moving": 1}


@pytest.mark.parametrize(
    ("bad", "arrival", "reason"),
    [
        (chunk(2, 7), 3, "replayed"),
        (chunk(0, 3), 3, "replayed"),
        (chunk(1, 8), 3, "out_of_order"),
        (chunk(3, 3), 3, "other_publisher"),
        (chunk(3, 8, publisher="another"), 3, "other_publisher"),
        (chunk(3, 8), 9, "late"),
        (chunk(3, 8, valid_until=T0 + 4 * DT), 5, "late"),
        (chunk(4, 8), 3, "future"),
        (replace(chunk(3, 8), values=np.full((6, 3), np.nan, np.float32)), 3, "not_finite"),
        (replace(chunk(3, 8), values=np.full((6, 3), np.inf, np.float32)), 3, "not_finite"),
    ],
)
def test_what_must_not_act_is_refused_by_name_and_changes_nothing(bad, arrival, reason):
    executor = ChunkExecutor("hold", SPEC)
    assert executor.accept(chunk(2, 7), T0 + 3 * DT) == "accepted"
    before = executor.chunks
    assert executor.accept(bad, T0 + arrival * DT) == reason and reason in REFUSALS
    assert executor.chunks == before and executor.refused == {reason: 1}


def test_a_policy_that_was_started_again_is_heard_once_the_old_chunk_is_over():
    executor = ChunkExecutor("hold", SPEC)
    executor.accept(chunk(0, 90), T0)
    assert executor.accept(chunk(5, 1), T0 + 5 * DT) == "other_publisher"
    assert executor.accept(chunk(6, 2), T0 + 6 * DT) == "accepted"
    assert executor.action(T0 + 6 * DT).seq == 2


def test_a_clock_that_jumps_back_forgets_every_chunk_and_goes_on():
    executor = ChunkExecutor("blend", SPEC)
    executor.accept(chunk(100, 1), T0 + 100 * DT)
    assert executor.action(T0 + 101 * DT).flag == "ok"
    assert executor.action(T0 + 3 * DT).flag == "clock_back" and executor.chunks == ()
    assert executor.action(T0 + 4 * DT).flag == "no_chunk"
    assert executor.accept(chunk(102, 2), T0 + 5 * DT) == "future"  # under way while the clock jumped
    assert executor.accept(chunk(4, 3), T0 + 5 * DT) == "accepted"
    assert executor.action(T0 + 5 * DT).seq == 3


def test_until_the_newest_begins_the_one_before_acts():
    executor = ChunkExecutor("hold", SPEC)
    executor.accept(chunk(0, 1), T0)
    ahead = replace(chunk(3, 2), obs_stamp=T0 + DT)
    executor.accept(ahead, T0 + DT)
    assert [executor.action(T0 + k * DT).seq for k in range(2, 6)] == [1, 2, 2, 2]


def test_the_same_observation_planned_again_replaces_its_chunk():
    executor = ChunkExecutor("temporal_ensemble", SPEC)
    executor.accept(chunk(0, 1), T0)
    executor.accept(chunk(0, 2), T0 + DT)
    assert [c.seq for c in executor.chunks] == [2] and executor.action(T0 + DT).action[1] == 2


def test_memory_stays_bounded():
    executor = ChunkExecutor("temporal_ensemble", SPEC)
    for k in range(1000):
        executor.accept(chunk(k, k + 1, steps=500), T0 + k * DT)
    assert len(executor.chunks) < 100 and executor.chunks[-1].seq == 1000


def test_what_cannot_be_executed_is_refused_at_the_start():
    with pytest.raises(UsageError, match="Did you mean hold"):
        ChunkExecutor("holds", SPEC)
    with pytest.raises(UsageError, match="quaternions"):
        ChunkExecutor("blend", replace(SPEC, representation="EE_POSE"))
