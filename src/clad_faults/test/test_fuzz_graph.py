"""Messages of any content on the topics of a running graph: no node dies, and nothing out of limits reaches the driver."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosidl_parser.definition import NamespacedType
from sensor_msgs.msg import CameraInfo, Image, JointState
from trajectory_msgs.msg import JointTrajectory

from clad_faults.rig import NOWHERE, Rig
from clad_faults.suite import graph_of
from clad_interfaces.msg import ActionChunk, EpisodeStatus, ExecutedAction, LatentForesight
from clad_ros import topics

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]
MESSAGES = 600
SLACK = 1e-6  # rad and rad/s: rounding


def any_value(kind: str, slot, names: list[str]) -> st.SearchStrategy:
    """Any value that a field of this type can carry; strings are often a name that means something."""
    if match := re.fullmatch(r"sequence<(.*?)(?:, \d+)?>", kind):
        return st.lists(any_value(match[1], slot.value_type, names), max_size=12)
    if match := re.fullmatch(r"(.*)\[(\d+)\]", kind):
        return st.lists(any_value(match[1], slot.value_type, names), min_size=int(match[2]), max_size=int(match[2]))
    if match := re.fullmatch(r"(u?)int(\d+)", kind):
        bits = int(match[2])
        low, high = (0, 2**bits - 1) if match[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return st.integers(low, high) | st.integers(0, 8)
    if isinstance(slot, NamespacedType):
        return any_message(_class(slot), names)
    return {
        "boolean": st.booleans(),
        "octet": st.binary(min_size=1, max_size=1),
        "float": st.floats(width=32),
        "double": st.floats() | st.floats(-1, 1),
        "string": st.sampled_from([*names, "", "../../x"]) | st.text(st.characters(codec="utf-8"), max_size=9),
    }[kind]


def any_message(kind: type, names: list[str]) -> st.SearchStrategy:
    fields = kind.get_fields_and_field_types()
    slots = dict(zip(fields, kind.SLOT_TYPES, strict=True))
    return st.builds(kind, **{name: any_value(text, slots[name], names) for name, text in fields.items()})


def _class(slot: NamespacedType) -> type:
    module = __import__(".".join(slot.namespaces), fromlist=[slot.name])
    return getattr(module, slot.name)


def test_whatever_is_said_no_node_dies_and_no_command_leaves_its_limits(domain, tiny_model, tmp_path):
    specs, bridge, contract = graph_of("loopback", str(tiny_model), tmp_path)
    rig = Rig(specs, bridge, contract, tmp_path, wired=NOWHERE)
    driver, limits, node = contract.driver, contract.limits, rig.node
    commanded: list[JointTrajectory] = []
    node.create_subscription(JointTrajectory, driver.command, commanded.append, 50)
    heard = [
        *((Image, topic, topics.IMAGE_QOS) for topic in driver.images.values()),
        *((CameraInfo, topics.info_beside(topic), topics.IMAGE_QOS) for topic in driver.images.values()),
        *((Image, topics.image_topic(camera), topics.IMAGE_QOS) for camera in contract.cameras),
        (JointState, driver.joint_states, topics.STATE_QOS),
        (PoseStamped, driver.ee_pose, topics.STATE_QOS),
        (JointState, topics.JOINT_STATES, topics.STATE_QOS),
        (PoseStamped, topics.EE_POSE, topics.STATE_QOS),
        (EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS),
        (ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS),
        (LatentForesight, topics.LATENT_FORESIGHT, topics.COMMANDING_QOS),
        (ActionChunk, topics.ACTION_CHUNK, topics.COMMANDING_QOS),
        (DiagnosticArray, topics.DIAGNOSTICS, topics.DIAGNOSTICS_QOS),
    ]
    names = [*contract.joint_names, *contract.gripper_joint_names, *contract.action.names, *rig.specs]
    names += [contract.base_frame, "rgb8", "bgr8"]
    messages = st.one_of([st.tuples(st.just(topic), any_message(kind, names)) for kind, topic, _ in heard])
    try:
        rig.start_all()
        rig.until_moving()
        speakers = {topic: node.create_publisher(kind, topic, qos) for kind, topic, qos in heard}

        @settings(max_examples=MESSAGES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(messages)
        def say(what) -> None:
            topic, message = what
            speakers[topic].publish(message)
            time.sleep(0.01)

        say()
        for speaker in speakers.values():
            node.destroy_publisher(speaker)
        for name in rig.specs:
            assert rig.runs(name), f"{name} ended: {rig.last_words(name)}"
            if "auto_activate" in rig.specs[name].parameters:
                rig.wait_active(name)
        low, high = np.array(limits.joint_position).T
        points = [p for trajectory in commanded for p in trajectory.points]
        assert len(points) > 100
        positions, velocities = np.array([p.positions for p in points]), np.array([p.velocities for p in points])
        assert np.isfinite(positions).all() and np.isfinite(velocities).all()
        assert (positions >= low - SLACK).all() and (positions <= high + SLACK).all()
        assert (np.abs(velocities) <= np.array(limits.joint_velocity) + SLACK).all()
        rig.begin_episode()  # and once the noise is over, the robot moves again
        assert rig.recovers()
    finally:
        rig.close()
