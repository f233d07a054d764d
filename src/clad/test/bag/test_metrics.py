"""Figures of episodes whose every figure is known beforehand, and that none depends on how topics interleave."""

import json
import math
from collections import deque
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_session import ABORTED, MS, PERIOD, RUNNING, TIMEOUT, WALL, action, as_object, feed, session

from clad.bag.metrics import EpisodeMeter
from clad.bag.session import SessionMeter
from clad.contract import load_contract, native_to_wire
from clad.eval.motion import motion_report

CONTRACT = load_contract("libero")


def figures(**options):
    return feed(EpisodeMeter(CONTRACT, 1), session(**options)).figures()


def test_who_and_what():
    found = figures()
    assert (found.suite, found.task, found.init_index, found.seed) == found.key == ("libero_10", 5, 3, 7)
    assert (found.outcome, found.success, found.steps, found.foresights, found.chunks) == ("success", True, 8, 4, 4)
    assert (found.planner, found.policy) == ("tiny@1", "tiny@2")
    assert (found.scene_hash, found.action_hash) == ("ab", None)
    assert found.duration_s == pytest.approx(0.4)
    assert found.wall_s == pytest.approx(0.4)
    assert found.period is None  # lock-step waits as long as it takes


@pytest.mark.parametrize(("outcome", "word", "success"), [(TIMEOUT, "timeout", False), (ABORTED, "aborted", None)])
def test_outcomes(outcome, word, success):
    found = figures(outcome=outcome)
    assert (found.outcome, found.success) == (word, success)


def test_an_episode_that_still_runs_has_no_success():
    found = figures(outcome=RUNNING)
    assert (found.outcome, found.success) == ("cut off", None)


def test_latencies():
    """Each message takes 1 ms, and the robot acts at once."""
    latency = figures().latency
    medians = {name: summary["p50_ms"] for name, summary in latency.items()}
    assert medians == {
        "to_planner": 1, "encode": 10, "plan": 14, "plan_rest": 4, "to_policy": 1, "policy": 6, "compute": 20, "to_robot": 1,
        "total": 23,
    }  # fmt: skip
    assert all(summary["n"] == 4 for summary in latency.values())


def test_age_of_the_observation_behind_each_step():
    """A chunk of two steps: its first acts on what is seen now, its second on what is 50 ms old."""
    assert figures().observation_age == {"n": 8, "p50_ms": 25.0, "p99_ms": 50.0, "max_ms": 50.0}


def test_held_steps_have_no_age_and_count_by_reason():
    found = figures(holds=(2, 3, 6))
    assert found.observation_age["n"] == 5
    assert found.hold_s == {"no chunk": pytest.approx(0.15)}
    assert found.held_s == pytest.approx(0.15)
    spans = feed(EpisodeMeter(CONTRACT, 1), session(holds=(2, 3, 6))).series().holds
    assert [(pytest.approx(a), pytest.approx(b), r) for a, b, r in spans] == [
        (0.1, 0.2, "no chunk"),
        (0.3, 0.35, "no chunk"),
    ]


def test_clamped_steps_are_no_holds():
    found = figures(clamps=(1, 4))
    assert (found.clamped_steps, found.clamps, found.held_s) == (2, {"joint_jerk": 2, "workspace": 2}, 0.0)


def test_motion_is_that_of_the_wire_actions():
    executed = native_to_wire(np.array([action(step) for step in range(8)]), CONTRACT.action)
    chunks = [1, 1, 2, 2, 3, 3, 4, 4]
    expected = motion_report(executed, chunks, np.split(executed, 4), CONTRACT.action, 0.05)
    expected = {name: value if math.isfinite(value) else None for name, value in expected.items()}
    assert figures().motion == pytest.approx(expected)
    assert figures().motion["seam_velocity_m_p99"] > 0.5


def test_foresight_against_what_came_and_against_persistence():
    found = figures(turn=0.05).foresight  # it foresees half of the turn
    assert found["n"] == 3  # of four, the last one's future is not seen
    assert found["cosine_p50"] == pytest.approx(math.cos(0.1), abs=1e-6)
    assert found["cosine_persistence_p50"] == pytest.approx(math.cos(0.2), abs=1e-6)
    assert found["joint_position_p50"] == pytest.approx(0.005, abs=1e-6)
    assert found["joint_position_persistence_p50"] == pytest.approx(0.02, abs=1e-6)
    assert found["joint_velocity_p99"] == pytest.approx(0.0, abs=1e-6)


def test_a_future_that_is_seen_half_a_period_off_is_another():
    def moved(offset):
        for topic, kind, published, message in session():
            if topic == "/latent_foresight" and message["step"] == 4:
                stamp = 5200 * MS + offset
                message = {**message, "header": {"stamp": {"sec": 5, "nanosec": stamp % 10**9}, "frame_id": ""}}
            yield topic, kind, published, message

    counts = [feed(EpisodeMeter(CONTRACT, 1), moved(offset)).figures().foresight["n"] for offset in (25 * MS, 26 * MS)]
    assert counts == [3, 1]  # of 2 -> 4, 4 -> 6 and 0 -> 2


def test_a_perfect_foresight():
    assert figures().foresight["cosine_p1"] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("field", "gone"), [("semantic_predicted", "cosine_p50"), ("proprio_measured", "joint_position_p50")]
)
@pytest.mark.parametrize("how", ["empty", "absent"])
def test_without_a_field_that_figure_is_not_there(field, gone, how):
    """Older recordings lack the field, models without a planner leave it empty."""
    meter = EpisodeMeter(CONTRACT, 1)
    for topic, _, published, message in session():
        if topic == "/latent_foresight":
            message = {**message, field: []} if how == "empty" else {k: v for k, v in message.items() if k != field}
        meter.feed(topic, published, as_object(message))
    found = meter.figures()
    assert gone not in found.foresight
    assert found.latency["compute"]["n"] == 4


def test_a_blind_model_has_no_cosine():
    meter = EpisodeMeter(CONTRACT, 1)
    for topic, _, published, message in session():
        message = {**message, "semantic_embedding": [0.0] * 4} if topic == "/latent_foresight" else message
        meter.feed(topic, published, as_object(message))
    assert meter.figures().foresight["cosine_p50"] is None


def test_what_was_lost():
    found = figures(skipped=(2, 4))
    assert found.lost == {"foresights": 2, "chunks": 2, "actions": 0}
    assert found.foresight is None  # of none of the two the future was foreseen from
    assert found.observation_age["n"] == 4


def test_a_sender_that_was_started_again_lost_nothing():
    meter = EpisodeMeter(CONTRACT, 1)
    feed(meter, session(steps=4, first=9, outcome=RUNNING))
    later = [m for m in session(steps=8, first=1) if m[2] >= WALL + 4 * PERIOD]
    assert feed(meter, later).figures().lost == {"foresights": 0, "chunks": 0, "actions": 0}


def free_run(delays):
    """A free-run episode whose control steps are published `delays` ms late."""
    for topic, kind, published, message in session(mode="free-run", steps=len(delays)):
        late = delays[message["step"]] * MS if topic == "/executed_action" else 0
        yield topic, kind, published + late, message


def test_period_and_missed_deadlines():
    found = feed(EpisodeMeter(CONTRACT, 1), free_run([0, 0, 30, 0, 5, 5])).figures().period
    assert found["control"]["target"] == 0.05
    assert found["control"]["missed"] == 1  # 80 ms after the one before; 25 is the limit
    assert found["control"]["error"]["max_ms"] == 30.0
    assert found["control"]["error"]["p50_ms"] == 5.0
    assert found["foresight"] == {
        "target": 0.1, "missed": 0, "error": {"n": 2, "p50_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0},
    }  # fmt: skip


def test_what_is_under_way_when_the_episode_ends_moves_nothing():
    """Live and in the bag it may be there or not: nobody waits for it."""
    stream = list(session())
    late = [
        (t, k, WALL + 10**10, {**m, "seq": 99}) for t, k, _, m in stream if t in ("/latent_foresight", "/action_chunk")
    ]
    assert feed(EpisodeMeter(CONTRACT, 1), stream + late[-2:]).figures() == figures()


def test_a_corrected_outcome_counts_and_moves_nothing_else():
    meter = feed(EpisodeMeter(CONTRACT, 1), session())
    told = next(message for topic, _, _, message in session() if topic == "/episode")
    meter.feed("/episode", WALL + 60 * 10**9, as_object(told | {"phase": TIMEOUT, "steps": 8}))
    expected = asdict(figures()) | {"outcome": "timeout", "success": False}
    assert asdict(meter.figures()) == expected


def test_repeated_messages_count_once():
    """The bridge repeats actions that may have been lost."""
    actions = [m for m in session() if m[0] == "/executed_action"]
    again = [(topic, kind, published + MS, message) for topic, kind, published, message in actions]
    assert feed(EpisodeMeter(CONTRACT, 1), [*session(), *again]).figures() == figures()


def test_other_episodes_are_ignored():
    meter = EpisodeMeter(CONTRACT, 1)
    feed(meter, session(episode=2, wall=WALL - 10**10))
    assert feed(meter, session()).figures() == figures()


def test_observations_of_a_simulator_that_was_started_again_have_the_same_stamps():
    """And are published later, or were before."""
    for shift in (-(10**10), 10**10):
        again = [(t, k, p + shift, m) for t, k, p, m in session() if t == "/joint_states"]
        assert feed(EpisodeMeter(CONTRACT, 1), [*session(), *again]).figures() == figures()


def test_actions_of_another_robot_have_no_motion_and_everything_else():
    meter = EpisodeMeter(CONTRACT, 1)
    for topic, _, published, message in session():
        message = {**message, "values": message["values"][:6]} if topic == "/executed_action" else message
        meter.feed(topic, published, as_object(message))
    assert meter.figures().motion == {}
    assert meter.figures().steps == 8


def test_nothing_at_all():
    found = EpisodeMeter(CONTRACT, 1).figures()
    assert (found.steps, found.outcome, found.motion, found.latency, found.duration_s) == (0, None, {}, {}, None)


OPTIONS = st.fixed_dictionaries(
    {
        "steps": st.integers(0, 9),
        "mode": st.sampled_from(["lockstep", "free-run"]),
        "outcome": st.sampled_from([RUNNING, TIMEOUT, 2]),
        "holds": st.sets(st.integers(0, 8)),
        "skipped": st.sets(st.integers(0, 8)),
        "turn": st.floats(-0.2, 0.2),
    }
)


@given(options=OPTIONS, data=st.data())
@settings(max_examples=60)
def test_figures_do_not_depend_on_how_topics_interleave(options, data):
    """Each topic keeps its order, as DDS and a bag both keep it; between topics anything may come first."""
    straight = list(session(**options))
    queues = {topic: deque(m for m in straight if m[0] == topic) for topic in {m[0] for m in straight}}
    mixed = []
    while queues:
        topic = data.draw(st.sampled_from(sorted(queues)))
        mixed.append(queues[topic].popleft())
        if not queues[topic]:
            del queues[topic]
    one, other = (feed(EpisodeMeter(CONTRACT, 1), stream).figures() for stream in (straight, mixed))
    assert json.dumps(asdict(one)) == json.dumps(asdict(other))  # to the last bit; and JSON it is


def test_a_session_of_many_episodes_is_split_and_bounded():
    found = []
    meter = SessionMeter(CONTRACT, found.append)
    for number in range(1, 6):
        feed(meter, session(episode=number, wall=WALL + number * 10**9, start=number * 10**9))
        assert meter.newest.episode == number and meter.newest.over
        assert len(found) == max(0, number - 2)
    meter.close()
    assert [m.episode for m in found] == [1, 2, 3, 4, 5]
    assert all(m.figures().latency["to_planner"]["n"] == 4 for m in found)


def test_observations_that_come_before_their_episode_is_announced():
    found = []
    meter = SessionMeter(CONTRACT, found.append)
    feed(meter, sorted(session(), key=lambda m: m[0] != "/joint_states"))
    meter.close()
    assert found[0].figures() == figures()


def test_a_bridge_that_was_started_again_counts_from_one_anew():
    found = []
    meter = SessionMeter(CONTRACT, found.append)
    for number in range(2):
        feed(meter, session(episode=1, steps=4 + 2 * number, start=number * 10**9, wall=WALL + number * 10**9))
    meter.close()
    assert [m.figures().steps for m in found] == [4, 6]


def test_the_latched_word_on_the_episode_before_is_an_echo():
    """A bag opens with it."""
    last = [m for m in session(episode=1) if m[0] == "/episode"][-1:]
    found = []
    meter = SessionMeter(CONTRACT, found.append)
    feed(meter, [*last, *session(episode=2, start=10**10, wall=WALL + 10**10)])
    meter.close()
    assert [(m.episode, m.is_echo) for m in found] == [(1, True), (2, False)]
