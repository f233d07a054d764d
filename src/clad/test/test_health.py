"""Each rule over snapshots: a healthy graph has no fault, and each fault is named where it lies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clad.contract import load_contract
from clad.health import Deaf, Snapshot, Stream, faults

CONTRACT = load_contract("libero")
JOINTS = CONTRACT.joint_names + CONTRACT.gripper_joint_names
IMAGE = "/agentview/image_raw"
HEALTHY = Snapshot(
    seconds=2.0,
    nodes={"planner": "active", "policy": "active", "sim_bridge": "active", "recorder": "active"},
    streams=(
        Stream(topic="/joint_states", publishers=("sim_bridge",), heard=40, rate=20.0),
        Stream(topic=IMAGE, publishers=("sim_bridge",), heard=10),
        Stream(topic="/action_chunk", publishers=("policy",), heard=50),
    ),
    parameters={"planner": {"contract": "libero", "model": "m"}, "sim_bridge": {"contract": "libero", "model": ""}},
    statuses={"planner": (0, "planning")},
    running=True,
    mode="free-run",
    safety=(False, ()),
    joint_names=JOINTS,
    image_sizes={IMAGE: (128, 128, "rgb8")},
    ee_frame_id="world",
    model_ids={"planner": "m@1", "policy": "m@1"},
)


def with_stream(**changes) -> Snapshot:
    first, *rest = HEALTHY.streams
    return replace(HEALTHY, streams=(replace(first, **changes), *rest))


def test_a_healthy_graph_has_no_fault():
    assert faults(HEALTHY, CONTRACT) == []


def test_a_quiet_graph_between_episodes_has_no_fault():
    quiet = tuple(replace(s, heard=0, rate=None) for s in HEALTHY.streams)
    assert faults(replace(HEALTHY, running=False, mode="", streams=quiet), CONTRACT) == []


@pytest.mark.parametrize(
    ("snapshot", "about", "words"),
    [
        (replace(HEALTHY, nodes={"recorder": "active"}), "graph", "no planner, policy or bridge"),
        (replace(HEALTHY, nodes={"planner": "active", "policy": "active"}), "bridge", "neither sim_bridge nor"),
        (replace(HEALTHY, nodes={**HEALTHY.nodes, "robot_bridge": "active"}), "bridge", "both bridges run"),
        (replace(HEALTHY, nodes={**HEALTHY.nodes, "policy": "inactive"}), "policy", "is inactive, not active"),
        (replace(HEALTHY, nodes={**HEALTHY.nodes, "policy": ""}), "policy", "does not answer"),
        (
            replace(HEALTHY, nodes={n: s for n, s in HEALTHY.nodes.items() if n != "planner"}),
            "planner",
            "does not run",
        ),
        (
            replace(HEALTHY, parameters={"planner": {"contract": "libero"}, "sim_bridge": {"contract": "ur"}}),
            "contract",
            "not one robot for all: planner has libero, sim_bridge has ur",
        ),
        (
            replace(HEALTHY, parameters={"planner": {"model": "a"}, "policy": {"model": "b"}}),
            "model",
            "not one model for all",
        ),
        (replace(HEALTHY, model_ids={"planner": "m@1", "policy": "m@2"}), "model", "two models"),
        (
            replace(HEALTHY, deaf=(Deaf(topic="/x", publisher="camera", subscriber="planner", reason="why"),)),
            "/x",
            "planner cannot hear camera: why",
        ),
        (with_stream(publishers=()), "/joint_states", "nobody publishes it"),
        (with_stream(publishers=("a", "b")), "/joint_states", "2 publishers: a, b"),
        (with_stream(heard=0), "/joint_states", "nothing came in 2 s from sim_bridge"),
        (with_stream(heard=20), "/joint_states", "10.0 Hz, where the contract wants 20"),
        (replace(HEALTHY, joint_names=JOINTS[1:]), "/joint_states", "no joint robot0_joint1; there are"),
        (replace(HEALTHY, ee_frame_id="base"), "/ee_pose", "is in frame 'base', the contract's is 'world'"),
        (replace(HEALTHY, image_sizes={IMAGE: (480, 640, "bgr8")}), IMAGE, "is 640x480 bgr8"),
        (replace(HEALTHY, statuses={"planner": (2, "no model")}), "planner", "reports an error: no model"),
        (replace(HEALTHY, safety=(True, ("estop",))), "/safety_status", "the arm is held: estop"),
    ],
)
def test_each_fault_is_named_where_it_lies(snapshot, about, words):
    (fault,) = faults(snapshot, CONTRACT)
    assert fault.about == about and words in fault.words and fault.remedy


def test_order_of_joints_and_more_of_them_are_no_fault():
    assert faults(replace(HEALTHY, joint_names=("extra", *reversed(JOINTS))), CONTRACT) == []
