"""The monitor beside a robot in real time: its figures are its bag's, bit for bit, and follow a corrected outcome."""

from __future__ import annotations

import pytest
from tiny_bundle import write_tiny_models

from clad.bag.live import disagreements
from clad.bag.recording import read_recording
from clad.bag.remade import Remade
from clad.bag.replay import replay
from clad_interfaces.msg import EpisodeFigures
from clad_interfaces.srv import SetOutcome
from clad_recorder.episode_report import decoded
from clad_ros import topics

pytestmark = pytest.mark.timeout(300)  # a shared machine may be slow to start a node

STEPS = 40


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_models(tmp_path_factory.mktemp("models"), robot="fake")


@pytest.fixture(scope="module")
def told(graph, model, tmp_path_factory):
    """What the monitor told of an episode in which nobody says how it went, and the episode's bag."""
    out, robot = tmp_path_factory.mktemp("out"), {"contract": "fake"}
    graph.start("clad_recorder", "recorder_node", "recorder", root=str(out))
    graph.start("clad_recorder", "monitor_node", "monitor", **robot)
    graph.start("clad_policy", "policy_node", "policy", model=str(model), **robot)
    graph.start("clad_planner", "planner_node", "planner", model=str(model), **robot)
    graph.start("clad_fake_robot", "loopback_robot_node", "loopback_robot", **robot)
    bridge = {"model": str(model), "instruction": "put the book in", "max_steps": STEPS, "bridge": "robot_bridge"}
    graph.start("clad_robot_bridge", "robot_bridge_node", "robot_bridge", **bridge, **robot)
    figures = graph.collect(EpisodeFigures, topics.EPISODE_FIGURES, topics.EPISODE_FIGURES_QOS)
    settings = {"suite": "fake", "protocol": "robot", "mode": "free-run", "visuals": "camera", "out": str(out)}
    runner = graph.start("clad_recorder", "episode_runner_node", **bridge, **settings, **robot)
    graph.wait(lambda: runner.popen.poll() is not None, "the runner to end")
    assert runner.popen.returncode == 0, runner.output
    (bag,) = (out / "bags").iterdir()
    return figures, bag


def test_in_free_run_the_figures_are_those_of_the_bag(told):
    figures, bag = told
    (recorded,) = (message for message, _ in decoded(bag, topics.EPISODE_FIGURES))
    (episode,) = read_recording(bag).episodes
    assert episode.figures.steps == STEPS and episode.figures.foresights > 5
    assert disagreements({item.key: item.value for item in recorded.figures}, episode.figures) == []
    assert figures[0] == recorded and recorded.outcome == "timeout"


def test_what_can_be_made_again_of_it_is_equal(told, model):
    bag = told[1]
    found = replay(bag, Remade.of(bag, model=str(model)))
    assert found.mode == "free-run" and found.foresights.equal + found.foresights.unpaired.total() > 5
    assert found.chunks.equal == found.chunks.n > 5


def test_a_corrected_outcome_is_told_again(graph, told):
    figures, _ = told
    assert graph.call(SetOutcome, topics.SET_OUTCOME, outcome="success", reason="seen too late").success
    graph.wait(lambda: len(figures) > 1, "the corrected figures")
    assert (figures[1].episode, figures[1].outcome) == (figures[0].episode, "success")
    values = [{item.key: item.value for item in message.figures} for message in figures]
    assert {name for name in values[0] if values[0][name] != values[1][name]} == {"outcome", "success", "reason"}
