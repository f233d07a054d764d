"""Joining streams by stamp."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clad_planner.synchroniser import MOST_WAITING, Synchroniser

STREAMS = ("agentview", "wrist", "joint_states", "ee_pose")


@settings(deadline=None, database=None, max_examples=50)
@given(data=st.data(), stamps=st.integers(1, 8))
def test_every_stamp_completes_when_streams_are_ordered_and_none_waits_for_a_later_one(data, stamps):
    """However the streams interleave, what completes is complete, of one stamp, in order, and the last stamp always does."""
    queues = {s: list(range(stamps)) for s in STREAMS}
    synchroniser, complete = Synchroniser(STREAMS), []
    while any(queues.values()):
        stream = data.draw(st.sampled_from([s for s in STREAMS if queues[s]]))
        stamp = queues[stream].pop(0)
        group = synchroniser.add(stream, stamp, (stream, stamp))
        if group is not None:
            assert group == {s: (s, stamp) for s in STREAMS}
            complete.append(stamp)
    assert complete == list(range(stamps))


def test_an_observation_that_lacks_a_stream_is_dropped_by_a_newer_one():
    synchroniser = Synchroniser(("a", "b"))
    assert synchroniser.add("a", 1, "lost") is None
    assert synchroniser.missing() == ["b"]
    synchroniser.add("a", 2, "x")
    assert synchroniser.add("b", 2, "y") == {"a": "x", "b": "y"}
    assert synchroniser.add("b", 1, "late") is None


def test_a_stamp_that_is_sent_again_completes_again():
    synchroniser = Synchroniser(("a", "b"))
    for _ in range(2):
        assert synchroniser.add("a", 5, 1) is None
        assert synchroniser.add("b", 5, 2) is not None


def test_a_stream_that_is_silent_does_not_fill_the_memory():
    synchroniser = Synchroniser(("a", "b"))
    for stamp in range(10 * MOST_WAITING):
        synchroniser.add("a", stamp, None)
    assert len(synchroniser._waiting) == MOST_WAITING


def test_an_unknown_stream_is_a_mistake_of_the_caller():
    with pytest.raises(KeyError):
        Synchroniser(("a",)).add("b", 0, None)
