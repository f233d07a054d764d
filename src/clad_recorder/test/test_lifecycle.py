"""Lifecycle transitions by a manager's hand, through the ChangeState services: nodes fall silent, and come back whole."""

from __future__ import annotations

import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState

from clad_interfaces.msg import ActionChunk, EpisodeStatus, ExecutedAction
from clad_interfaces.srv import ResetEpisode
from clad_ros import topics

pytestmark = pytest.mark.timeout(400)

NODES = ("policy", "planner", "sim_bridge")
SCENE = {"suite": "libero_10", "task": 5, "init_index": 0, "seed": 0, "protocol": "exact"}


@pytest.fixture(scope="module")
def nodes(graph, tiny_model):
    for name in NODES:
        more = {"suite": SCENE["suite"], "task": SCENE["task"]} if name == "sim_bridge" else {}
        graph.start(f"clad_{name}", f"{name}_node", name, model=str(tiny_model), **more)


@pytest.fixture(scope="module")
def heard(graph, nodes):
    return {
        "chunks": graph.collect(ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS),
        "executed": graph.collect(ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS),
        "episode": graph.collect(EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS),
    }


def change(graph, transition: int, state: int) -> None:
    for name in NODES:
        answer = graph.call(ChangeState, f"/{name}/change_state", transition=Transition(id=transition))
        assert answer.success, name
        assert graph.call(GetState, f"/{name}/get_state").current_state.id == state, name


def moves(graph, heard) -> None:
    """A new episode goes through planner and policy to the robot."""
    heard["executed"].clear()
    begun = graph.call(ResetEpisode, topics.RESET_EPISODE, **SCENE)
    assert begun.success, begun.message
    graph.wait(lambda: any(m.episode == begun.episode for m in heard["executed"]), "an executed action")


def test_deactivated_nodes_are_silent_and_say_so(graph, heard):
    moves(graph, heard)
    change(graph, Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE)
    assert heard["episode"][-1].phase == EpisodeStatus.ABORTED  # told before the bridge fell silent
    refused = graph.call(ResetEpisode, topics.RESET_EPISODE, **SCENE)
    assert not refused.success and "not active" in refused.message


def test_activated_again_they_go_on(graph, heard):
    change(graph, Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE)
    moves(graph, heard)


def test_cleaned_up_they_hold_nothing_and_can_be_configured_anew(graph, heard):
    change(graph, Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE)
    change(graph, Transition.TRANSITION_CLEANUP, State.PRIMARY_STATE_UNCONFIGURED)
    for topic in (topics.LATENT_FORESIGHT, topics.ACTION_CHUNK, topics.EXECUTED_ACTION):
        graph.wait(lambda topic=topic: graph.node.count_publishers(topic) == 0, f"{topic} to go")
    change(graph, Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE)
    change(graph, Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE)
    moves(graph, heard)
