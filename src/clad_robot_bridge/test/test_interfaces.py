"""The simulator and an arm look the same: every topic, type, QoS, frame and service that the rest of the graph sees."""

from __future__ import annotations

import pytest

from clad.contract import load_contract
from clad_ros import topics

pytestmark = pytest.mark.timeout(300)

# what only one of the two has, and why
ONLY_SIM = {"/clock"}  # an arm lives by the wall clock
ONLY_ROBOT = {  # its own driver's, which nobody else in the graph listens to
    load_contract("fake").driver.command,
    load_contract("fake").driver.gripper.topic,
}
OWN_SERVICES = {topics.SET_OUTCOME}  # LIBERO's task has a predicate of its own


@pytest.fixture(scope="module")
def bridges(graph):
    # only the bridges' interfaces are compared: nothing moves, and LIBERO is not rendered
    graph.start("clad_fake_robot", "loopback_robot_node", "loopback_robot")
    graph.start("clad_robot_bridge", "robot_bridge_node", "robot_bridge", instruction="x")
    graph.start("clad_sim_bridge", "sim_bridge_node", "sim_bridge", visuals="fast", execute_steps=3, mode="free-run")
    graph.wait(lambda: graph.node.count_publishers(topics.CLOCK), "the simulator's clock to be discovered")


def without_node(pairs, node: str) -> dict[str, list[str]]:
    """name -> types, of what does not carry the node's own name (its lifecycle and parameters)."""
    return {name: types for name, types in pairs if not name.startswith(f"/{node}/") and node not in name}


def qos(graph, node: str, topic: str, publishers: bool):
    list_ends = graph.node.get_publishers_info_by_topic if publishers else graph.node.get_subscriptions_info_by_topic
    profiles = [end.qos_profile for end in list_ends(topic) if end.node_name == node]
    assert profiles
    return {(profile.reliability, profile.durability) for profile in profiles}


def test_they_publish_the_same_topics_with_the_same_types_and_qos(graph, bridges):
    sim, arm = (
        without_node(graph.node.get_publisher_names_and_types_by_node(node, "/"), node)
        for node in ("sim_bridge", "robot_bridge")
    )
    assert set(sim) - set(arm) == ONLY_SIM and set(arm) - set(sim) == ONLY_ROBOT
    assert len(set(sim) & set(arm)) >= 8
    for topic in set(sim) & set(arm):
        assert sim[topic] == arm[topic]
        assert qos(graph, "sim_bridge", topic, True) == qos(graph, "robot_bridge", topic, True), topic


def test_they_listen_to_the_same_commands(graph, bridges):
    driver = load_contract("fake").driver
    own = {driver.joint_states, driver.ee_pose, *driver.images.values()}
    own |= {topics.info_beside(topic) for topic in driver.images.values()}
    sim, arm = (
        without_node(graph.node.get_subscriber_names_and_types_by_node(node, "/"), node)
        for node in ("sim_bridge", "robot_bridge")
    )
    assert set(arm) - set(sim) == own and set(sim) <= set(arm)
    assert topics.ACTION_CHUNK in sim
    for topic in sim:
        assert sim[topic] == arm[topic]
        assert qos(graph, "sim_bridge", topic, False) == qos(graph, "robot_bridge", topic, False), topic


def test_they_offer_the_same_services_and_the_same_action(graph, bridges):
    sim, arm = (
        without_node(graph.node.get_service_names_and_types_by_node(node, "/"), node)
        for node in ("sim_bridge", "robot_bridge")
    )
    assert set(arm) - set(sim) == OWN_SERVICES and set(sim) <= set(arm)
    assert all(sim[name] == arm[name] for name in sim)
    assert topics.RESET_EPISODE in sim and f"{topics.RUN_EPISODE}/_action/send_goal" in sim
