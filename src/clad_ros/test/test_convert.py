"""Messages and library types: what goes in comes out, bit for bit; what does not fit the contract is named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, JointState

from clad.contract import Observation, load_contract
from clad.errors import CladError
from clad.runtime.types import Chunk, Foresight
from clad_interfaces.msg import ActionChunk, LatentForesight
from clad_ros import convert
from clad_ros.stamps import SECOND, duration_msg, step_of, time_msg, to_ns

CONTRACT = load_contract("libero")
SEEDS = st.integers(0, 2**32 - 1)
STAMPS = st.integers(0, 2**31 * SECOND - 1)
quick = settings(max_examples=30, deadline=None, database=None)


def observation(seed: int, step: int = 3) -> Observation:
    rng = np.random.default_rng(seed)
    quaternion = rng.standard_normal(4)
    return Observation(
        step=step,
        images={c: rng.integers(0, 256, (128, 128, 3), dtype=np.uint8) for c in CONTRACT.cameras},
        joint_position=rng.uniform(-3, 3, 7),
        joint_velocity=rng.uniform(-3, 3, 7),
        gripper_position=rng.uniform(-0.04, 0.04, 2),
        ee_position=rng.uniform(-1, 1, 3),
        ee_quaternion=quaternion / np.linalg.norm(quaternion),
    )


def messages(o: Observation, stamp: int = 5 * SECOND):
    images = {c: convert.image_to_message(i, stamp, CONTRACT.cameras[c].frame) for c, i in o.images.items()}
    joints = convert.joint_state_message(o, np.array([0.1, -0.1]), CONTRACT, stamp)
    return images, joints, convert.ee_pose_message(o, CONTRACT, stamp)


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


@quick
@given(seed=SEEDS, stamp=STAMPS, order=st.permutations(range(9)))
def test_an_observation_survives_the_wire_in_any_order_of_joints(seed, stamp, order):
    before = observation(seed)
    images, joints, pose = messages(before, stamp)
    shuffled = JointState(
        name=[joints.name[i] for i in order],
        position=[joints.position[i] for i in order],
        velocity=[joints.velocity[i] for i in order],
    )
    after = convert.observation_from_messages(
        {c: over_the_wire(m) for c, m in images.items()}, over_the_wire(shuffled), over_the_wire(pose),
        step=before.step, contract=CONTRACT,
    )  # fmt: skip
    for field in dataclasses.fields(Observation):
        if field.name == "images":
            assert all(np.array_equal(after.images[c], before.images[c]) for c in CONTRACT.cameras)
        else:
            assert np.array_equal(getattr(after, field.name), getattr(before, field.name)), field.name
    assert to_ns(images["wrist"].header.stamp) == to_ns(joints.header.stamp) == to_ns(pose.header.stamp) == stamp


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda i, j, p: j.name.__setitem__(2, "elbow"), "robot0_joint3 missing"),
        (lambda i, j, p: j.position.__setitem__(4, float("nan")), "position of robot0_joint5 is not a finite number"),
        (lambda i, j, p: j.velocity.__setitem__(0, float("inf")), "velocity of robot0_joint1"),
        (lambda i, j, p: j.velocity.pop(), "8 velocity values for 9 names"),
        (lambda i, j, p: setattr(p.pose.position, "x", float("nan")), "ee_pose"),
        (lambda i, j, p: setattr(p.pose.orientation, "w", 5.0), "unit length"),
        (lambda i, j, p: setattr(p.header, "frame_id", "map"), "frame is 'map'"),
        (lambda i, j, p: setattr(i["wrist"], "encoding", "bgr8"), "wrist: encoding is 'bgr8'"),
        (lambda i, j, p: i.__setitem__("wrist", Image(height=64, width=64, encoding="rgb8")), "wrist: image is 64x64"),
        (lambda i, j, p: setattr(i["agentview"], "data", i["agentview"].data[:-1]), "agentview: 49151 bytes"),
    ],
)
def test_what_does_not_fit_the_contract_is_named(damage, named):
    images, joints, pose = messages(observation(0))
    damage(images, joints, pose)
    with pytest.raises(CladError, match=named):
        convert.observation_from_messages(images, joints, pose, step=0, contract=CONTRACT)


def foresight(seed: int, tokens: int = 4, width: int = 8) -> Foresight:
    rng = np.random.default_rng(seed)
    array = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    return Foresight(
        step=int(rng.integers(0, 1000)),
        seed=seed,
        instruction="put the book in the caddy – ünïcode",
        proprio_foresight=array(tokens, width),
        semantic_foresight=array(2 * tokens, width),
        semantic_embedding=array(20),
        instruction_embedding=array(5),
        proprio=array(23),
        proprio_predicted=array(23),
        proprio_measured=array(23),
        semantic_predicted=array(20),
        encode_latency=0.012345678,
        plan_latency=0.023456789,
    )


def as_message(f: Foresight) -> LatentForesight:
    return convert.foresight_to_message(
        f, stamp=2 * SECOND, seq=7, episode=3, horizon=6, model_id="m@0", contract=CONTRACT
    )


@quick
@given(seed=SEEDS, tokens=st.integers(1, 5), width=st.integers(1, 9))
def test_a_foresight_survives_the_wire(seed, tokens, width):
    before = foresight(seed, tokens, width)
    message = over_the_wire(as_message(before))
    after = convert.foresight_from_message(message)
    for field in dataclasses.fields(Foresight):
        a, b = getattr(after, field.name), getattr(before, field.name)
        if isinstance(b, np.ndarray):
            assert a.dtype == np.float32 and a.shape == b.shape and a.tobytes() == b.tobytes(), field.name
        else:
            assert a == b, field.name
    assert to_ns(message.horizon) == 300_000_000 and message.horizon_steps == 6


def test_a_model_without_a_planner_has_no_tokens():
    empty = np.zeros((0, 0), dtype=np.float32)
    before = dataclasses.replace(foresight(1), proprio_foresight=empty, semantic_foresight=empty)
    after = convert.foresight_from_message(over_the_wire(as_message(before)))
    assert after.proprio_foresight.shape == after.semantic_foresight.shape == (0, 0)


def test_a_damaged_foresight_is_refused():
    message = as_message(foresight(1))
    message.proprio_tokens = 5
    with pytest.raises(CladError, match="32 proprio_foresight values do not make 5 tokens"):
        convert.foresight_from_message(message)
    message = as_message(foresight(1))
    message.proprio[2] = float("nan")
    with pytest.raises(CladError, match="proprio holds a value that is not finite"):
        convert.foresight_from_message(message)


def chunk_message(seed: int = 0, steps: int = 6) -> tuple[Chunk, ActionChunk]:
    values = np.random.default_rng(seed).standard_normal((steps, 7)).astype(np.float32)
    chunk = Chunk(step=12, values=values, policy_latency=0.004)
    message = convert.chunk_to_message(chunk, as_message(foresight(0)), seq=9, model_id="m@0", contract=CONTRACT)
    return chunk, message


@quick
@given(seed=SEEDS, steps=st.integers(1, 12))
def test_a_chunk_survives_the_wire_and_says_what_it_is(seed, steps):
    chunk, message = chunk_message(seed, steps)
    message = over_the_wire(message)
    assert convert.chunk_values(message, CONTRACT).tobytes() == chunk.values.tobytes()
    assert message.header.stamp == message.obs_stamp == time_msg(2 * SECOND)
    assert to_ns(message.valid_until) == 2 * SECOND + steps * to_ns(message.step_dt)
    assert (message.episode, message.foresight_seq, message.seq) == (3, 7, 9)
    assert message.representation == ActionChunk.OSC_POSE_DELTA and list(message.units) == list(CONTRACT.action.units)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("representation", ActionChunk.JOINT_POSITION, "representation 1 is not OSC_POSE_DELTA"),
        ("names", ["x"] * 7, "names are x"),
        ("units", ["mm"] * 7, "units are mm"),
        ("steps", 5, "42 values are not 5 steps of 7"),
        ("step_dt", duration_msg(0), "step_dt is not positive"),
        ("values", [float("nan")] * 42, "not finite"),
    ],
)
def test_a_chunk_for_another_robot_is_refused(field, value, named):
    _, message = chunk_message()
    setattr(message, field, value)
    with pytest.raises(CladError, match=named):
        convert.chunk_values(message, CONTRACT)


@quick
@given(ns=st.integers(-(10**12), 10**12))
def test_durations_keep_every_nanosecond(ns):
    message = duration_msg(ns)
    assert to_ns(message) == ns and 0 <= message.nanosec < SECOND


@quick
@given(start=st.integers(0, 10**15), step=st.integers(0, 10**6), jitter=st.integers(-24_000_000, 24_000_000))
def test_a_stamp_is_the_nearest_step(start, step, jitter):
    assert step_of(start + step * 50_000_000 + max(jitter, 0 if step == 0 else jitter), start, 50_000_000) == step


def test_a_stamp_before_its_episode_is_refused():
    with pytest.raises(CladError, match="before the episode's start"):
        step_of(SECOND, 2 * SECOND, 50_000_000)


def test_camera_info_is_the_pinhole_it_was_given():
    k = np.array([[154.5, 0, 63.5], [0, 154.5, 63.5], [0, 0, 1]])
    info = over_the_wire(convert.camera_info(k, 128, SECOND, "frame"))
    assert np.array_equal(info.k.reshape(3, 3), k) and np.array_equal(info.p.reshape(3, 4)[:, :3], k)
    assert (info.height, info.width, info.header.frame_id) == (128, 128, "frame")
