"""What the page says: rates from numbers, outcomes and their interval, holds and alarms each told once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clad.look.rate import Rate
from clad.look.standing import Standing
from clad.stamps import SECOND


@given(hertz=st.floats(1, 200), kept=st.lists(st.booleans(), min_size=3, max_size=80).filter(lambda k: sum(k) > 1))
def test_what_was_not_heard_still_counts(hertz, kept):
    rate = Rate(window=1e6)
    for number, heard in enumerate(kept):
        if heard:
            rate.feed(round(number * SECOND / hertz), number)
    assert rate.hertz == pytest.approx(hertz, rel=1e-6)


def test_a_rate_falls_to_nothing_and_begins_anew():
    rate = Rate(window=2.0)
    assert rate.hertz is None and rate.at(0) == 0.0
    for number in range(40):
        rate.feed(number * SECOND // 20, number)
    assert rate.at(2 * SECOND) == pytest.approx(20.0)
    assert rate.at(10 * SECOND) == 0.0
    rate.feed(3 * SECOND, 0)  # another episode counts from nothing
    assert rate.hertz is None


def status(phase, *, episode=1, sec=1, steps=0, reason=""):
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=0)),
        **dict(episode=episode, phase=phase, reason=reason, suite="libero_10", task=5, instruction="put it away"),
        **dict(init_index=3, seed=21, protocol="exact", mode="lockstep", steps=steps, max_steps=520),
    )


def action(step, source=1, reason=""):
    return SimpleNamespace(step=step, source=source, reason=reason)


def test_outcomes_are_counted_once_each():
    standing = Standing()
    said = [line for m in (status(1), status(1), status(2, steps=110)) for line in standing.feed("/episode", m)]
    assert said == [
        ("INFO", "episode 1 begins: put it away"),
        ("INFO", "episode 1 ends after 110 steps: success"),
    ]
    assert standing.feed("/episode", status(2, steps=110)) == []  # latched, heard again
    standing.feed("/episode", status(1, episode=2, sec=9))
    assert standing.feed("/episode", status(4, episode=2, sec=9, steps=7, reason="no chunk came")) == [
        ("WARN", "episode 2 ends after 7 steps: aborted: no chunk came")
    ]
    words = standing.markdown({"planner": 3.34})
    assert "success 1/2 (50 %, Wilson 95 %: 9-91 %)" in words  # 9.45 to 90.55, by the closed form
    assert "| 2 | 3 | 21 | aborted | 7 |" in words and "planner 3.3 Hz" in words and "**aborted**, episode 2" in words
    standing.feed("/episode", status(2, sec=50))  # the bridge was started again and counts from one
    assert "success 2/3" in standing.markdown({})


def test_a_hold_is_told_when_it_begins_and_when_it_ends():
    standing = Standing()
    said = []
    for message in (action(0), action(1, 2, "no chunk"), action(2, 2, "no chunk"), action(3, 2, "expired"), action(4)):
        said += standing.feed("/executed_action", message)
        assert ("**holding**" in standing.markdown({})) == (message.source == 2)
    assert [words for _, words in said] == ["step 1: holds: no chunk", "step 3: holds: expired", "step 4: moves again"]


def test_safety_and_health_are_told_when_they_change():
    standing = Standing()
    stop = SimpleNamespace(state=3, reasons=["estop"])
    assert standing.feed("/safety_status", stop) == [("ERROR", "safety: emergency stop (estop)")]
    assert standing.feed("/safety_status", stop) == []
    assert standing.feed("/safety_status", SimpleNamespace(state=0, reasons=[])) == [("INFO", "safety: pass")]

    def health(level, message):
        return SimpleNamespace(status=[SimpleNamespace(name="policy", level=level, message=message)])

    assert standing.feed("/diagnostics", health(b"\x00", "well")) == []
    assert standing.feed("/diagnostics", health(b"\x02", "no chunk")) == [("ERROR", "policy: no chunk")]
    assert standing.feed("/diagnostics", health(2, "no chunk")) == []  # as other decoders give it
    assert "- policy: no chunk" in standing.markdown({})
    assert standing.feed("/diagnostics", health(0, "well")) == [("INFO", "policy: well")]
    assert "policy" not in standing.markdown({})
