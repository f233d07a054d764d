"""Any message on any input: a typed value within the contract, or a CladError with a reason. Never another error."""

from __future__ import annotations

import array
import math

import numpy as np
import pytest
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import PoseStamped
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import Image, JointState

from clad.contract import load_contract, wire_to_native
from clad.errors import CladError
from clad.runtime.execution import ChunkExecutor
from clad_interfaces.msg import ActionChunk, LatentForesight
from clad_ros.convert import foresight_from_message, observation_from_messages, timed_chunk

CONTRACT = load_contract("libero")
SIZE = CONTRACT.image_size
fuzz = settings(deadline=None, database=None, max_examples=150)

FLOATS = st.floats(allow_nan=True, allow_infinity=True, width=32)
STAMPS = st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1), nanosec=st.integers(0, 2**32 - 1))
DURATIONS = st.builds(Duration, sec=st.integers(-(2**31), 2**31 - 1), nanosec=st.integers(0, 2**32 - 1))
NAMES = st.lists(st.sampled_from([*CONTRACT.joint_names, *CONTRACT.gripper_joint_names, "", "other"]), max_size=12)


def doubles(most: int):
    return st.lists(st.floats(), max_size=most).map(lambda v: array.array("d", v))


def floats(most: int):
    return st.lists(FLOATS, max_size=most).map(lambda v: array.array("f", v))


@fuzz
@given(
    data=st.data(),
    height=st.sampled_from([0, 1, SIZE, 2**31]),
    encoding=st.sampled_from(["rgb8", "bgr8", "", "\x00"]),
)
def test_observations(data, height, encoding):
    size = data.draw(st.sampled_from([0, 1, SIZE * SIZE * 3]))
    image = Image(height=height, width=SIZE, encoding=encoding, step=SIZE * 3, data=bytes(size))
    names = data.draw(st.one_of(NAMES, st.just([*CONTRACT.joint_names, *CONTRACT.gripper_joint_names])))
    joints = JointState(name=names, position=data.draw(doubles(12)), velocity=data.draw(doubles(12)))
    pose = PoseStamped()
    pose.header.frame_id = data.draw(st.sampled_from([CONTRACT.base_frame, "", "other"]))
    pose.pose.position.x = data.draw(st.floats())
    pose.pose.orientation.w = data.draw(st.floats())
    try:
        got = observation_from_messages({"agentview": image}, joints, pose, step=0, contract=CONTRACT)
    except CladError:
        return
    assert np.isfinite(got.joint_position).all() and math.isclose(np.linalg.norm(got.ee_quaternion), 1, abs_tol=1e-3)


@fuzz
@given(
    values=floats(60),
    steps=st.integers(0, 2**32 - 1) | st.integers(0, 8),
    seq=st.integers(0, 2**64 - 1),
    stamps=st.tuples(STAMPS, STAMPS, STAMPS),
    step_dt=DURATIONS,
    names=st.sampled_from([list(CONTRACT.action.names), [], ["dx"] * 7]),
    now=st.integers(0, 2**62),
)
def test_a_chunk_gives_finite_commands_within_the_limits_or_none(values, steps, seq, stamps, step_dt, names, now):
    spec = CONTRACT.action
    message = ActionChunk(
        seq=seq, obs_stamp=stamps[0], valid_until=stamps[1], step_dt=step_dt, names=names, units=list(spec.units),
        representation=getattr(ActionChunk, spec.representation), steps=steps, values=values,
    )  # fmt: skip
    message.header.stamp = stamps[2]
    executor = ChunkExecutor("hold", spec)
    try:
        executor.accept(timed_chunk(message, CONTRACT), now)
    except CladError:
        return
    due = executor.action(now)
    if due.action is not None:
        native = wire_to_native(due.action, spec)
        assert np.isfinite(native).all() and (np.abs(native) <= 1).all()


@fuzz
@given(
    tokens=st.tuples(st.integers(0, 2**32 - 1) | st.integers(0, 4), st.integers(0, 4)),
    arrays=st.tuples(floats(12), floats(12), floats(12), floats(12)),
)
def test_foresights(tokens, arrays):
    message = LatentForesight(proprio_tokens=tokens[0], semantic_tokens=tokens[1])
    message.proprio_foresight, message.semantic_foresight, message.semantic_embedding, message.proprio = arrays
    try:
        got = foresight_from_message(message)
    except CladError:
        return
    assert np.isfinite(got.proprio_foresight).all() and np.isfinite(got.semantic_embedding).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, -1e30])
def test_extreme_chunk_values_are_refused_or_clipped(value):
    spec = CONTRACT.action
    message = ActionChunk(
        names=list(spec.names), units=list(spec.units), representation=getattr(ActionChunk, spec.representation),
        steps=1, values=array.array("f", [value] * len(spec.names)), step_dt=Duration(nanosec=50_000_000),
    )  # fmt: skip
    try:
        chunk = timed_chunk(message, CONTRACT)
    except CladError:
        assert not math.isfinite(value)
        return
    assert (np.abs(wire_to_native(chunk.values, spec)) <= 1).all()
