"""SROS2 permissions: what each node really creates, as a policy, and what a policy grants.

    python -m clad_faults.permissions SIM_MODEL FAKE_MODEL > security/clad.policy.xml   # anew, from the graphs as they run

The policy grants each enclave exactly what its node was seen to use. Whoever adds a topic to a node makes it anew; a test
compares the two.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import rclpy
from rclpy.node import Node

from clad_bringup.security import enclave
from clad_faults.rig import NOWHERE, START_TIMEOUT, Rig
from clad_faults.suite import graph_of
from clad_ros.domain import own_domain

# (kind, permission) as in sros2's policy schema: <topics publish="ALLOW"> and so on
TOPICS, SERVICES, ACTIONS = "topic", "service", "action"
Permissions = Mapping[tuple[str, str], frozenset[str]]
SETTLED = 1.0  # s in which nobody has found anything new


def used(probe: Node, name: str) -> Permissions:
    """What a running node publishes, subscribes to, answers and asks, names without the leading slash."""
    found: dict[tuple[str, str], set[str]] = {}
    for kind, permission, ask in (
        (TOPICS, "publish", probe.get_publisher_names_and_types_by_node),
        (TOPICS, "subscribe", probe.get_subscriber_names_and_types_by_node),
        (SERVICES, "reply", probe.get_service_names_and_types_by_node),
        (SERVICES, "request", probe.get_client_names_and_types_by_node),
    ):
        for topic, _ in ask(name, "/"):
            plain, _, hidden = topic.removeprefix("/").partition("/_action/")
            if hidden:  # an action is five topics and services under one name
                serves = (kind, permission) in ((TOPICS, "publish"), (SERVICES, "reply"))
                found.setdefault((ACTIONS, "execute" if serves else "call"), set()).add(plain)
            else:
                found.setdefault((kind, permission), set()).add(plain)
    return {key: frozenset(names) for key, names in found.items()}


def granted(policy: Path) -> dict[str, Permissions]:
    """Node -> what the policy file allows it."""
    nodes = {}
    for profile in ElementTree.parse(policy).getroot().iter("profile"):
        nodes[profile.get("node")] = {
            (group.tag.removesuffix("s"), permission): frozenset(item.text for item in group)
            for group in profile
            for permission, word in group.attrib.items()
            if word == "ALLOW"
        }
    return nodes


def policy_xml(nodes: Mapping[str, Permissions]) -> str:
    """The policy file for these nodes, each in an enclave of its own."""
    root = ElementTree.Element("policy", version="0.2.0")
    enclaves = ElementTree.SubElement(root, "enclaves")
    for name, permissions in sorted(nodes.items()):
        node = ElementTree.SubElement(enclaves, "enclave", path=enclave(name))
        profiles = ElementTree.SubElement(node, "profiles")
        profile = ElementTree.SubElement(profiles, "profile", ns="/", node=name)
        for (kind, permission), names in sorted(permissions.items()):
            group = ElementTree.SubElement(profile, f"{kind}s", {permission: "ALLOW"})
            for item in sorted(names):
                ElementTree.SubElement(group, kind).text = item
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def observe(robot: str, model: str, folder: Path) -> dict[str, Permissions]:
    """Node -> what it uses, of one running graph, its runner with an episode included."""
    specs, bridge, contract = graph_of(robot, model, folder, runner=True)
    rig = Rig(specs, bridge, contract, folder, wired=NOWHERE)
    try:
        rig.start_all()
        rig.wait(lambda: set(rig.specs) <= set(rig.node.get_node_names()), "every node to be there", START_TIMEOUT)
        before, now = {}, {name: used(rig.node, name) for name in rig.specs}
        while now != before:  # the recorder subscribes to what it sees, and discovery takes its time
            time.sleep(SETTLED)
            before, now = now, {name: used(rig.node, name) for name in rig.specs}
        return now
    finally:
        rig.close()


def main() -> None:
    """Usage: python -m clad_faults.permissions MODEL_FOR_SIM MODEL_FOR_FAKE"""
    nodes: dict[str, Permissions] = {}
    with own_domain() as domain, tempfile.TemporaryDirectory() as folder:
        rclpy.init(domain_id=domain)
        for robot, model in (("sim", sys.argv[1]), ("loopback", sys.argv[2]), ("fake", sys.argv[2])):
            out = Path(folder) / robot  # a runner wants one of its own
            out.mkdir()
            for name, permissions in observe(robot, model, out).items():
                both = {k: permissions.get(k, frozenset()) | nodes.get(name, {}).get(k, frozenset()) for k in
                        {*permissions, *nodes.get(name, {})}}  # fmt: skip
                nodes[name] = both
        rclpy.try_shutdown()
    print(policy_xml(nodes), end="")


if __name__ == "__main__":
    main()
