"""The planner node over real DDS, fed by the test: what it plans, what it refuses, and that it recovers."""

from __future__ import annotations

import json
import shutil
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fed_robot import CONTRACT, PERIOD, Robot, observation

from clad.runtime.bundle import load_bundle
from clad.runtime.planner import Planner
from clad.runtime.types import FORESIGHT_ARRAYS
from clad_interfaces.msg import LatentForesight
from clad_ros import topics
from clad_ros.convert import foresight_from_message, joint_state_message
from clad_ros.stamps import to_ns

pytestmark = pytest.mark.timeout(300)  # a shared machine may be slow to start a node


@pytest.fixture(scope="module")
def planner(graph, tiny_model):
    return graph.start("clad_planner", "planner_node", "planner", model=str(tiny_model))


@pytest.fixture(scope="module")
def robot(graph, planner):
    return Robot(graph)


@pytest.fixture(scope="module")
def foresights(graph, planner):
    return graph.collect(LatentForesight, topics.LATENT_FORESIGHT, topics.INFERENCE_QOS)


@pytest.fixture(scope="module")
def diagnostics(graph, planner):
    return graph.collect(DiagnosticArray, topics.DIAGNOSTICS, topics.DIAGNOSTICS_QOS)


def last_status(diagnostics) -> DiagnosticStatus:
    return next((m.status[0] for m in reversed(diagnostics) if m.status[0].name == "planner"), DiagnosticStatus())


def test_lockstep_foresights_equal_the_librarys(graph, robot, foresights, tiny_model):
    bundle = load_bundle(tiny_model)
    direct = Planner(bundle, CONTRACT)
    direct.reset("put the book in", 4)
    robot.begin()
    for step in range(0, 15, 3):
        robot.observe(observation(step))
        expected = direct.plan(observation(step))
        count = len(foresights)
        graph.wait(lambda: len(foresights) > count, f"the foresight of step {step}")
        message = foresights[-1]
        got = foresight_from_message(message)
        assert (message.step, message.seed, message.model_id) == (step, 4, bundle.id)
        assert to_ns(message.header.stamp) == robot.start + step * PERIOD
        for field in FORESIGHT_ARRAYS:
            assert np.array_equal(getattr(got, field), getattr(expected, field)), (step, field)
        for i in range(step, step + 3):
            action = np.full(7, i / 20)
            direct.executed(i, action)
            if i < step + 2:
                robot.execute(i, action)
        robot.observe(observation(step + 3))  # before the last of its actions: must wait for it
        robot.execute(step + 2, np.full(7, (step + 2) / 20))
        count = len(foresights)
        graph.wait(lambda: len(foresights) > count, "the foresight after the late action")
        direct.plan(observation(step + 3))


def test_an_observation_that_is_sent_again_is_answered_again(graph, robot, foresights):
    robot.begin()
    robot.observe(observation(0))
    count = len(foresights)
    graph.wait(lambda: len(foresights) > count and foresights[-1].episode == robot.episode, "the first answer")
    first, count = foresights[-1], len(foresights)
    robot.observe(observation(0))
    graph.wait(lambda: len(foresights) > count, "the second answer")
    second = foresights[-1]
    assert second.proprio_foresight == first.proprio_foresight and second.seq > first.seq


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda j: j.position.__setitem__(2, float("nan")), "position of robot0_joint3 is not a finite number"),
        (lambda j: (j.name.pop(0), j.position.pop(0), j.velocity.pop(0)), "robot0_joint1 missing"),
    ],
)
@pytest.mark.parametrize("mode", ["lockstep", "free-run"])
def test_bad_joints_give_no_foresight_but_a_reason_until_they_are_good(
    graph, robot, foresights, diagnostics, damage, reason, mode
):
    robot.begin(mode)
    count = len(foresights)
    robot.observe(observation(0), damage)
    graph.wait(lambda: reason in last_status(diagnostics).message, f"the diagnosis '{reason}'")
    assert last_status(diagnostics).level == DiagnosticStatus.ERROR
    assert not [m for m in foresights[count:] if m.episode == robot.episode]
    robot.observe(observation(0))
    graph.wait(lambda: foresights[count:] and foresights[-1].episode == robot.episode, "a foresight from good data")
    graph.wait(lambda: last_status(diagnostics).level == DiagnosticStatus.OK, "the all-clear")


def test_a_blank_instruction_is_refused(graph, robot, foresights, diagnostics):
    robot.begin(instruction="  ")
    robot.observe(observation(0))
    graph.wait(lambda: last_status(diagnostics).message.startswith("no foresight: "), "the refusal")
    assert "instruction" in last_status(diagnostics).message
    assert not [m for m in foresights if m.episode == robot.episode]


def test_free_run_plans_each_new_observation_once_and_stops_on_stale_data(graph, robot, foresights, diagnostics):
    robot.begin("free-run")
    own = lambda: [m for m in foresights if m.episode == robot.episode]  # noqa: E731
    for step in range(4):
        robot.observe(observation(step))
        robot.execute(step, np.zeros(7))
        graph.wait(lambda: own() and own()[-1].step == step, f"the plan of observation {step}")
    robot.observe(observation(3))  # sent again: nothing new
    seen = len(diagnostics)  # once a second, which is many periods
    graph.wait(lambda: len(diagnostics) >= seen + 2, "the planner's next report")
    late = observation(30)  # joints go on, pictures do not: what is complete is far behind
    robot.joints.publish(joint_state_message(late, np.zeros(2), CONTRACT, robot.start + 30 * PERIOD))
    words = "the observations have stopped: waiting for agentview, ee_pose, wrist"
    graph.wait(lambda: last_status(diagnostics).message == words, "the diagnosis of stale data")
    assert last_status(diagnostics).level == DiagnosticStatus.ERROR
    assert [m.step for m in own()] == [0, 1, 2, 3]


def test_free_run_keeps_to_its_rate_and_takes_the_newest(graph, robot, foresights):
    """Observations at 100 Hz, of which at most 25 a second are planned, in order, and the last one in the end."""
    robot.begin("free-run")
    count, arrivals = len(foresights), []
    heard = graph.node.create_subscription(
        LatentForesight,
        topics.LATENT_FORESIGHT,
        lambda m: arrivals.append((m.step, time.monotonic())),
        topics.INFERENCE_QOS,
    )
    started = time.monotonic()
    for step in range(100):
        robot.observe(observation(step))
        robot.execute(step, np.zeros(7))
        due = started + (step + 1) * 0.01
        graph.wait(lambda: time.monotonic() >= due, "the next observation")
    graph.wait(lambda: foresights[count:] and foresights[-1].step == 99, "the plan of the last observation")
    graph.node.destroy_subscription(heard)
    steps = [m.step for m in foresights[count:]]
    assert steps == sorted(set(steps))
    assert 5 <= len(steps) <= 1 + 25 * (arrivals[-1][1] - started) + 2


def test_another_robots_model_is_refused_with_one_line_and_exit_code_1(graph, tiny_model, tmp_path):
    copy = tmp_path / "tiny"
    shutil.copytree(tiny_model, copy)
    shutil.copytree(tiny_model.parent / "encoder-tiny", tmp_path / "encoder-tiny")
    body = json.loads((copy / "model.json").read_text())
    body["contract"]["hash"] = "0" * 64
    (copy / "model.json").write_text(json.dumps(body))
    process = graph.start("clad_planner", "planner_node", model=str(copy))
    graph.wait(lambda: process.popen.poll() is not None, "the node to end")
    assert process.popen.returncode == 1
    assert process.output.splitlines()[-1].startswith("planner: model 'tiny' was trained for robot 'libero'")


def test_a_provider_that_is_not_there_is_refused(graph, tiny_model):
    process = graph.start("clad_planner", "planner_node", model=str(tiny_model), provider="cuda")
    graph.wait(lambda: process.popen.poll() is not None, "the node to end")
    assert process.popen.returncode == 1
    assert "cuda" in process.output.splitlines()[-1].lower()
