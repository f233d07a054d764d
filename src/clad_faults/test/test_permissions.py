"""The SROS2 policy grants what the nodes use, no less and no more."""

from __future__ import annotations

import pytest

from clad.cli.test import checkout
from clad_faults.permissions import ACTIONS, SERVICES, TOPICS, granted, observe, policy_xml

pytestmark = pytest.mark.timeout(300)
POLICY = checkout() / "security" / "clad.policy.xml"


def test_a_policy_survives_writing_and_reading(tmp_path):
    nodes = {"a": {(TOPICS, "publish"): frozenset({"x", "y"}), (ACTIONS, "call"): frozenset({"z"})}}
    file = tmp_path / "policy.xml"
    file.write_text(policy_xml(nodes))
    assert granted(file) == nodes


def test_only_the_policy_commands_and_only_the_bridges_tell_what_was_executed():
    nodes = granted(POLICY)
    speakers = {
        t: {n for n, p in nodes.items() if t in p.get((TOPICS, "publish"), ())} for t in ("action_chunk", "clock")
    }
    assert speakers == {"action_chunk": {"policy"}, "clock": {"sim_bridge"}}
    assert {n for n, p in nodes.items() if "latent_foresight" in p[TOPICS, "publish"]} == {"planner"}
    assert {n for n, p in nodes.items() if "executed_action" in p[TOPICS, "publish"]} == {"sim_bridge", "robot_bridge"}
    assert {n for n, p in nodes.items() if "start_recording" in p.get((SERVICES, "reply"), ())} == {"recorder"}


def test_the_nodes_of_the_arms_graph_use_nothing_that_is_not_granted(domain, tiny_model, tmp_path):
    nodes = granted(POLICY)
    for name, permissions in observe("loopback", str(tiny_model), tmp_path).items():
        for key, names in permissions.items():
            assert names <= nodes[name][key], (name, key, sorted(names - nodes[name][key]))
        if name in ("loopback_robot", "robot_bridge"):  # the others have what they use in other graphs too
            assert permissions == nodes[name], name
