"""Training windows obey the rule that runtime.history applies live, and hold only labels worth imitating."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_demos import CAMERAS, FEATURES, encoded

from clad.contract import hold_action, load_contract, proprio_vector
from clad.data.windows import HOLD, build_windows, hold_out, window_rows
from clad.runtime.history import History

CONTRACT = load_contract("libero")
SETTINGS = dict(proprio="joint16_ee7", cameras=CAMERAS, features=FEATURES, action=CONTRACT.action)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=3), st.integers(1, 7))
def test_the_past_is_what_the_runtime_remembers(lengths, horizon):
    """Every window's past, in every episode, equals what History gives at that step of a live episode."""
    episodes = [encoded(n, seed=i) for i, n in enumerate(lengths)]
    windows = build_windows(episodes, horizon=horizon, **SETTINGS)
    row = 0
    for number, episode in enumerate(episodes):
        history = History(horizon=horizon, hold=hold_action(CONTRACT.action))
        proprio = proprio_vector(episode, "joint16_ee7")
        for t in range(len(episode)):
            visual = np.concatenate(
                [episode.features[c, f][t] for c in ("agentview", "wrist") for f in ("keypoints", "pooled")]
            )
            history.observe(t, proprio[t], visual)
            past = history.past()
            assert past.fallback == ""
            np.testing.assert_array_equal(windows.proprio[windows.past[row]], past.proprio)
            np.testing.assert_array_equal(windows.visual[windows.past[row]], past.visual)
            np.testing.assert_array_equal(windows.actions[row], past.actions)
            np.testing.assert_array_equal(windows.visual[windows.now[row]], visual)
            assert windows.episode[row] == number
            history.execute(t, episode.executed[t])
            row += 1
    assert row == len(windows)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 8))
def test_rows(length, horizon):
    rows = window_rows(length, horizon)
    for t in range(length):
        assert rows.past[t] == max(0, t - horizon) and rows.future[t] == min(length - 1, t + horizon)
        for i in range(horizon):
            assert rows.labels[t, i] == min(length - 1, t + i)
            assert rows.actions[t, i] == (t - horizon + i if t - horizon + i >= 0 else HOLD)


def test_chunks_are_the_experts_and_pasts_the_executed():
    episode = encoded(10)
    windows = build_windows([episode], horizon=3, **SETTINGS)
    np.testing.assert_array_equal(windows.chunks[4], episode.expert[4:7])
    np.testing.assert_array_equal(windows.chunks[9], episode.expert[[9, 9, 9]])
    np.testing.assert_array_equal(windows.actions[4], episode.executed[1:4])
    np.testing.assert_array_equal(windows.actions[1], [hold_action(CONTRACT.action)] * 2 + [episode.executed[0]])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=15), st.integers(1, 6))
def test_a_chunk_with_one_bad_label_is_not_imitated(valid, horizon):
    windows = build_windows([encoded(len(valid), label_valid=np.array(valid))], horizon=horizon, **SETTINGS)
    for t in range(len(valid)):
        assert windows.imitable[t] == all(valid[t : t + horizon])


def test_hold_out_takes_some_of_every_task():
    episodes = [encoded(3, seed=i, instruction="a" if i < 20 else "b") for i in range(24)] + [
        encoded(3, seed=99, instruction="c")
    ]
    keys = hold_out(episodes, 0.1)
    tasks = [e.instruction for e in episodes if e.key in keys]
    assert sorted(tasks) == ["a", "a", "b"], "a tenth, at least one, and never a task's only demonstration"
    assert len(set(keys)) == 3 and keys == hold_out(episodes, 0.1)
    assert hold_out(episodes, 0.0) == []


def test_missing_view_is_a_programming_error():
    with pytest.raises(KeyError):
        build_windows([encoded(4)], horizon=2, **{**SETTINGS, "cameras": ("front",)})
