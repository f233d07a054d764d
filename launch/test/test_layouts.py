"""Foxglove's and RViz's layouts show topics and fields that the graph has."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import Log
from sensor_msgs.msg import CameraInfo, Image, JointState

from clad.contract import load_contract
from clad_ros import topics
from clad_viewer.node import SUBSCRIPTIONS

LAYOUTS = Path(get_package_share_directory("clad_bringup")) / "layouts"
TYPES = {topic: kind for kind, topic, _ in SUBSCRIPTIONS} | {
    topics.JOINT_STATES: JointState,
    topics.EE_POSE: PoseStamped,
    "/rosout": Log,
}
for camera in load_contract("libero").cameras:
    TYPES[topics.image_topic(camera)], TYPES[topics.camera_info_topic(camera)] = Image, CameraInfo


def resolve(path: str) -> None:
    """Raises KeyError for a Foxglove message path, /topic.field[0].field, that leads nowhere."""
    topic, _, rest = path.partition(".")
    kind = TYPES[topic]
    for name in re.sub(r"\[[^]]*\]|\{[^}]*\}", "", rest).split(".") if rest else []:
        if kind.__name__ in ("Time", "Duration"):
            assert name in ("sec", "nsec"), path  # as Foxglove calls them
            return
        field = kind.get_fields_and_field_types()[name]
        nested = re.match(r"(?:sequence<)?([a-z_]+)/(\w+)", field)
        kind = getattr(importlib.import_module(f"{nested[1]}.msg"), nested[2]) if nested else None


def paths(node) -> list[str]:
    """Every string of a configuration that begins as a topic does."""
    if isinstance(node, dict):
        return [path for value in node.values() for path in paths(value)]
    if isinstance(node, list):
        return [path for value in node for path in paths(value)]
    return [node] if isinstance(node, str) and node.startswith("/") else []


def panels(layout) -> list[str]:
    return [layout] if isinstance(layout, str) else panels(layout["first"]) + panels(layout["second"])


def test_foxglove_shows_what_the_graph_has():
    body = json.loads((LAYOUTS / "clad.foxglove.json").read_text())
    assert sorted(panels(body["layout"])) == sorted(body["configById"])
    found = paths(body["configById"])
    for path in found:
        resolve(path)
    shown = {path.partition(".")[0] for path in found}
    assert shown >= {topic for _, topic, _ in SUBSCRIPTIONS} | {topics.JOINT_STATES, "/agentview/image_raw"}


def test_rviz_shows_what_the_graph_has():
    body = yaml.safe_load((LAYOUTS / "clad.rviz").read_text())["Visualization Manager"]
    found = paths(body["Displays"])
    assert len(found) == 3 and all(topic in TYPES for topic in found)
    assert body["Global Options"]["Fixed Frame"] == load_contract("libero").base_frame


@pytest.mark.parametrize(
    "wrong", ["/action_chunks.seq", "/action_chunk.sequence", "/diagnostics.status[:].message.data"]
)
def test_a_path_that_leads_nowhere_is_found(wrong):
    with pytest.raises((KeyError, AttributeError)):
        resolve(wrong)
