"""What `clad bench --graph` makes of messages and processes, against messages whose timing is written out by hand."""

import numpy as np
import pytest

from clad.bench import graph
from clad.bench.graph import Made, Planned, Seen, rows, trend, trends
from clad.bench.robot import contract_at

PERIOD = 0.04


def seen_of(steps=500, *, late=(), ros=0.004, growth=0.0):
    """Steps at PERIOD; those in `late` come a whole period late. Compute: 10 + 3 + 6 ms. growth: MiB a second."""
    seen = Seen(period=PERIOD)
    for i in range(steps):
        at = 100 + i * PERIOD + (PERIOD if i in late else 0)
        stamp = round((at - 0.002) * 1e9)  # captured 2 ms before it was published
        seen.observed[stamp] = at
        seen.foresights[i] = Planned(at=at + 0.015, encode=0.010, plan=0.013)
        seen.chunks.append(Made(at=at + 0.019 + ros, policy=0.006, stamp=stamp, foresight=i))
        seen.executed_at.append(at)
    for i in range(40):
        at = 100 + i / 2
        seen.nodes.setdefault("planner", []).append((at, 0.25 * at, int((100 + growth * at) * 2**20)))
    return seen


def by_name(seen, floors=None, baselines=None):
    return {row.name: row for row in rows(seen, floors or {}, baselines or {})}


def test_every_measure_is_what_was_put_in():
    found = by_name(seen_of(), {"plan": 1.5}, {"observation to chunk": 20.0})
    for name, ms in (("encode", 10), ("plan", 3), ("policy", 6), ("ROS share", 4), ("observation to chunk", 23)):
        assert found[name].p50 == found[name].p99 == pytest.approx(ms, abs=1e-3), name
    assert found["plan"].ratio_to_floor == pytest.approx(2) and found["encode"].floor is None
    assert found["observation to chunk"].ratio_to_baseline == pytest.approx(23 / 20)
    assert found["plan period error"].p99 == pytest.approx(0, abs=1e-3) and found["CPU planner"].p50 == pytest.approx(
        25
    )
    assert found["encode"].n in (424, 425)  # 3 s of 20 are warm-up
    assert "ROS share" in graph.table(list(found.values()))


def test_a_late_step_is_a_missed_deadline_but_not_while_warming_up():
    assert seen_of().missed() == 0
    assert seen_of(late={10}).missed() == 0
    assert seen_of(late={200, 300}).missed() == 2
    assert by_name(seen_of(late=set(range(200, 500, 2))))["control period error"].p50 == pytest.approx(40, abs=0.01)


def test_a_chunk_whose_foresight_was_not_seen_is_left_out():
    seen = seen_of()
    del seen.foresights[400]
    assert by_name(seen)["encode"].n == by_name(seen_of())["encode"].n - 1


def test_holds_are_counted_by_reason_after_the_start():
    seen = seen_of()
    seen.held = [(100.0, "no chunk"), (110.0, "expired"), (111.0, "expired")]
    assert seen.holds() == {"expired": 2}


def test_memory_that_grows_is_told_from_noise():
    (memory, age) = trends(seen_of(growth=0.01))
    assert memory.slope == pytest.approx(36, rel=1e-3) and memory.rises and "rises" in memory.words
    assert age.slope == pytest.approx(0, abs=0.05) and age.name == "observation age"
    rng = np.random.default_rng(0)
    at = np.arange(0, 7200, 30.0)
    rising = [trend("x", at, 100 + rng.standard_normal(len(at)), "MiB").rises for _ in range(400)]
    assert 1 <= sum(rising) <= 25  # 2.3 % of 400 expected
    assert all(trend("x", at, 100 + at / 3600 + rng.standard_normal(len(at)), "MiB").rises for _ in range(20))


def test_an_empty_watch_has_no_rows():
    assert rows(Seen(period=PERIOD), {}, {}) == [] and Seen(period=PERIOD).missed() == 0


def test_segments_are_those_of_the_middleware(tmp_path):
    for name in ("fastrtps_1", "sem.fastrtps_port7_mutex", "something"):
        (tmp_path / name).touch()
    assert graph.shared_memory_segments(tmp_path) == {"fastrtps_1", "sem.fastrtps_port7_mutex"}
    assert graph.shared_memory_segments(tmp_path / "none") == set()


def test_the_robot_is_the_fake_one_at_another_rate(tmp_path):
    from clad.contract import load_contract

    file, contract = contract_at(25, tmp_path)
    assert contract.control_rate == 25 and contract == load_contract(str(file))
    assert contract.joint_names == load_contract("fake").joint_names and contract.hash != load_contract("fake").hash
