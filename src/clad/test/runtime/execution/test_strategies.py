"""Each strategy against the same thing written out by brute force."""

from dataclasses import replace

import numpy as np
import pytest
from chunk_timeline import DT, T0, chunk
from hypothesis import given, settings
from hypothesis import strategies as st

from clad.runtime.execution.strategies import blend, newest, temporal_ensemble

GRIPPER = 2


@st.composite
def stored(draw):
    """Chunks as an executor keeps them, with random values: oldest observation first, accepted after it."""
    found = []
    for seq, step in enumerate(sorted(draw(st.sets(st.integers(0, 8), min_size=1, max_size=6))), start=1):
        rng = np.random.default_rng(draw(st.integers(0, 999)))
        values = rng.uniform(-1, 1, (draw(st.integers(1, 8)), 3)).astype(np.float32)
        made = chunk(step, seq, values=values)
        earliest = found[-1].accepted if found else made.start
        arrival = max(earliest, made.start + draw(st.integers(0, 3)) * DT)
        found.append(replace(made, accepted=arrival))
    return found


def due_at(chunks, now):
    """(chunk, row) of every chunk with a step at `now`."""
    found = []
    for c in chunks:
        for i, row in enumerate(c.values):
            if c.start + i * DT <= now < c.start + (i + 1) * DT and now <= c.valid_until:
                found.append((c, row))
    return found


@given(chunks=stored(), at=st.integers(0, 18 * DT), decay=st.floats(0, 3))
def test_the_ensemble_is_acts_weighted_mean_of_what_is_due(chunks, at, decay):
    now, due = T0 + at, due_at(chunks, T0 + at)
    found = temporal_ensemble(chunks, now, gripper_index=GRIPPER, decay=decay)
    assert (found.action is None) == (not due)
    if due:
        weights = [np.exp(-decay * i) for i in range(len(due))]
        expected = sum(w * row.astype(float) for w, (_, row) in zip(weights, due)) / sum(weights)
        np.testing.assert_allclose(found.action[:2], expected[:2], atol=1e-6)
        assert found.action[GRIPPER] == due[-1][1][GRIPPER] and found.seq == due[-1][0].seq


@settings(max_examples=500)  # a chunk that arrives after `now` is rare among the examples
@given(chunks=stored(), at=st.integers(0, 18 * DT), steps=st.integers(0, 6))
def test_a_blend_stays_between_the_chunks_that_are_due(chunks, at, steps):
    now, due = T0 + at, due_at(chunks, T0 + at)
    found = blend(chunks, now, gripper_index=GRIPPER, steps=steps)
    assert (found.action is None) == (not due)
    if due:
        rows = np.array([row for _, row in due])
        assert (found.action[:2] >= rows[:, :2].min(axis=0) - 1e-6).all()
        assert (found.action[:2] <= rows[:, :2].max(axis=0) + 1e-6).all()
        assert found.action[GRIPPER] == rows[-1, GRIPPER]
        if len(due) == 1 or steps == 0:
            assert np.array_equal(found.action, rows[-1])


@pytest.mark.parametrize(
    ("steps", "weights"), [(3, [1 / 4, 2 / 4, 3 / 4, 1]), (1, [1 / 2, 1]), (9, [1 / 5, 2 / 5, 3 / 5, 4 / 5])]
)
def test_a_new_chunk_is_faded_in_over_what_the_old_one_has_left(steps, weights):
    old = replace(chunk(0, 1, values=np.zeros((6, 3), np.float32)), accepted=T0)
    new = replace(chunk(1, 2, values=np.ones((6, 3), np.float32)), accepted=T0 + 2 * DT)
    found = [
        blend([old, new], T0 + (2 + k) * DT, gripper_index=GRIPPER, steps=steps).action[0] for k in range(len(weights))
    ]
    np.testing.assert_allclose(found, weights, atol=1e-6)
    assert blend([old, new], T0 + 6 * DT, gripper_index=GRIPPER, steps=steps).action[0] == 1  # the old one is over


def test_a_third_chunk_fades_in_over_the_running_fade():
    levels = [0.0, 1.0, 3.0]
    chunks = [
        replace(chunk(k, k + 1, values=np.full((6, 3), v, np.float32)), accepted=T0 + k * DT)
        for k, v in enumerate(levels)
    ]
    # at step 2: chunk 1 has weight 2/4 over chunk 0, chunk 2 has 1/4 over both
    found = blend(chunks, T0 + 2 * DT, gripper_index=GRIPPER, steps=3).action[0]
    assert found == pytest.approx(0.75 * (0.5 * 0 + 0.5 * 1) + 0.25 * 3)


@given(chunks=stored(), at=st.integers(0, 18 * DT))
def test_the_newest_that_has_begun_decides_alone(chunks, at):
    now = T0 + at
    begun = [c for c in chunks if c.start <= now]
    found = newest(chunks, now)
    if not begun:
        assert found.flag == "before_start"
    else:
        own = due_at(begun[-1:], now)
        assert (found.action is None) == (not own) and found.seq == begun[-1].seq
        if own:
            assert found.action is begun[-1].values[found.index] or np.array_equal(found.action, own[0][1])


def test_without_any_chunk_nothing_acts():
    for found in (
        newest([], T0),
        temporal_ensemble([], T0, gripper_index=GRIPPER, decay=0.01),
        blend([], T0, gripper_index=GRIPPER, steps=3),
    ):
        assert (found.action, found.flag) == (None, "no_chunk")
