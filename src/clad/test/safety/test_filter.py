"""The filter by properties: whatever comes in, what goes out is within the limits; what is clean passes untouched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from clad.contract import load_contract
from clad.contract.limits import SafetyLimits
from clad.errors import CladError, UsageError
from clad.safety import CartesianCommand, JointCommand, Measured, Reason, SafetyFilter, State

N = 6
LIMITS = SafetyLimits(
    joint_position=((-1.0, 1.5),) * N,
    joint_velocity=(2.0,) * N,
    joint_acceleration=(5.0,) * N,
    joint_jerk=(250.0,) * N,
    workspace=((-0.5, -0.5, 0.1), (0.5, 0.5, 0.9)),
    linear_velocity=0.5,
    linear_acceleration=2.0,
    angular_velocity=1.0,
    angular_acceleration=4.0,
    staleness=0.2,
)
FAKE = replace(load_contract("fake"), limits=LIMITS)
PERIOD = 50_000_000
DT = 0.05
DOWN = np.array([1.0, 0.0, 0.0, 0.0])


def robot(**changes):
    return replace(FAKE, limits=replace(LIMITS, **changes))


def at(now, joints=None, position=(0.0, 0.0, 0.5), quaternion=DOWN):
    joints = np.zeros(N) if joints is None else joints
    return Measured(stamp=now, joint_position=joints, ee_position=position, ee_quaternion=quaternion)


def joint(positions, **fields):
    return JointCommand(positions=np.asarray(positions), **fields)


def twist(linear, angular=(0.0, 0.0, 0.0), **fields):
    return CartesianCommand(linear=np.asarray(linear), angular=np.asarray(angular), **fields)


def pose(position, quaternion=DOWN, **fields):
    return CartesianCommand(position=np.asarray(position), quaternion=np.asarray(quaternion), **fields)


# --- whatever comes in

wild = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-3, 3),
    st.sampled_from([np.nan, np.inf, -np.inf, 1e308, -1e308, 0.0, 10**400, None, "x"]),
)
near = st.floats(-2.5, 2.5)


def vectors(n):
    return st.one_of(st.lists(near, min_size=n, max_size=n), st.lists(wild, max_size=n + 2), st.none())


grippers = st.one_of(st.none(), wild)
joint_commands = st.builds(JointCommand, positions=vectors(N), velocities=vectors(N), gripper=grippers)
twists = st.builds(CartesianCommand, linear=vectors(3), angular=vectors(3), gripper=grippers)
poses = st.builds(
    CartesianCommand,
    position=vectors(3),
    quaternion=st.one_of(st.just(DOWN), st.builds(lambda v: Rotation.from_rotvec(v).as_quat(), vectors(3).filter(
        lambda v: v is not None and len(v) == 3 and all(isinstance(x, float) and abs(x) < 10 for x in v)
    )), vectors(4)),
    gripper=grippers,
)  # fmt: skip
junk = st.sampled_from([None, 3, "move", np.zeros(6), object()])
states = st.sampled_from(["follows", "follows", "follows", "stale", "none", "nan", "short", "far"])
# (command, what the measurement is like, ms since the last step)
scripts = st.lists(
    st.tuples(st.one_of(joint_commands, junk), states, st.integers(20, 75), st.booleans()), min_size=1, max_size=40
)


def measured_like(kind, now, joints, rng):
    if kind == "none":
        return None
    if kind == "stale":
        return at(now - 10**9, joints)
    if kind == "nan":
        return at(now, np.full(N, np.nan))
    if kind == "short":
        return at(now, np.zeros(N - 1))
    return at(now, joints + (rng.uniform(-1, 1, N) if kind == "far" else 0.0))


@settings(max_examples=150, deadline=None)
@given(
    scripts,
    st.sampled_from(["clamp", "hold"]),
    st.sampled_from([0.0, 0.4]),
    st.sampled_from([None, 0.3]),
    st.sampled_from([20.0, 250.0]),
)
def test_joint_commands_out_are_within_every_limit_whatever_comes_in(script, policy, blend_in, max_deviation, jerk):
    limits = {"policy": policy, "blend_in": blend_in, "max_deviation": max_deviation, "joint_jerk": (jerk,) * N}
    safety = SafetyFilter(robot(**limits))
    rng = np.random.default_rng(0)
    now, position, velocity, acceleration = 10**9, np.zeros(N), np.zeros(N), np.zeros(N)
    anchored = False
    for i, (command, kind, milliseconds, estop) in enumerate(script):
        dt = min(milliseconds / 1e3, 1.5 * DT) if i else DT
        now += milliseconds * 10**6
        if estop and rng.random() < 0.1:
            safety.estop()
        verdict = safety.step(command, measured_like(kind, now, position, rng), now)
        assert (verdict.state == State.PASS) == (not verdict.reasons)
        if verdict.command is None:
            assert verdict.stopped and not anchored
            continue
        out = np.asarray(verdict.command.positions, dtype=float)
        if kind == "far" and (not anchored or np.any(np.abs(out - position) > 2.0 * dt + 1e-6)):
            # taken to have been moved by hand while it stood: begins anew where it is
            assert not velocity.any()
            return
        if not anchored:
            position = np.zeros(N)
        anchored = True
        v = (out - position) / dt
        a = (v - velocity) / dt
        assert np.isfinite(out).all()
        assert ((out >= -1.0 - 1e-6) & (out <= 1.5 + 1e-6)).all()
        assert (np.abs(v) <= 2.0 + 1e-6).all()
        assert (np.abs(a) <= 5.0 + 1e-5).all()
        if verdict.command.velocities is not None:
            assert (np.abs(verdict.command.velocities) <= 2.0 + 1e-6).all()
        # jerk may be exceeded by braking only: nothing pushes harder along its motion than the limit allows
        if not verdict.stopped:
            push, before = np.sign(v) * a, np.sign(v) * acceleration
            assert (np.maximum(push, 0) - np.maximum(before, 0) <= jerk * dt + 1e-4).all()
        assert verdict.command.gripper is None or -1 <= verdict.command.gripper <= 1
        position, velocity, acceleration = out, v, a


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.one_of(twists, junk), st.booleans()), min_size=1, max_size=30),
    st.sampled_from(["clamp", "hold"]),
)
def test_twists_out_are_within_every_limit_and_keep_the_hand_in_the_box(script, policy):
    safety = SafetyFilter(robot(policy=policy))
    now, velocity, position = 10**9, np.zeros(6), np.array([0.0, 0.0, 0.5])
    for command, fresh in script:
        now += PERIOD
        verdict = safety.step(command, at(now if fresh else now - 10**9, position=position), now)
        if verdict.command is None:
            continue
        out = np.append(verdict.command.linear, verdict.command.angular)
        assert np.isfinite(out).all()
        assert (np.abs(out[:3]) <= 0.5 + 1e-6).all() and (np.abs(out[3:]) <= 1.0 + 1e-6).all()
        change = np.abs(out - velocity) / DT
        assert (change[:3] <= 2.0 + 1e-5).all() and (change[3:] <= 4.0 + 1e-5).all()
        velocity, position = out, position + out[:3] * DT
        assert (position >= np.array([-0.5, -0.5, 0.1]) - 1e-6).all()
        assert (position <= np.array([0.5, 0.5, 0.9]) + 1e-6).all()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(poses, junk), min_size=1, max_size=30),
    st.sampled_from(["clamp", "hold"]),
    st.sampled_from([0.0, 0.4]),
)
def test_poses_out_are_within_every_limit(script, policy, blend_in):
    safety = SafetyFilter(robot(policy=policy, blend_in=blend_in))
    now, velocity, position, rotation = 10**9, np.zeros(6), np.array([0.0, 0.0, 0.5]), Rotation.from_quat(DOWN)
    for command in script:
        now += PERIOD
        verdict = safety.step(command, at(now, position=position, quaternion=rotation.as_quat()), now)
        if verdict.command is None:
            continue
        reached = np.asarray(verdict.command.position, dtype=float)
        turned = Rotation.from_quat(verdict.command.quaternion)
        v = np.append(reached - position, (turned * rotation.inv()).as_rotvec()) / DT
        assert np.isfinite(v).all()
        assert (np.abs(v[:3]) <= 0.5 + 1e-6).all() and (np.abs(v[3:]) <= 1.0 + 1e-6).all()
        change = np.abs(v - velocity) / DT
        assert (change[:3] <= 2.0 + 1e-5).all() and (change[3:] <= 4.0 + 1e-5).all()
        assert (reached >= np.array([-0.5, -0.5, 0.1]) - 1e-6).all() and (reached <= 0.9 + 1e-6).all()
        velocity, position, rotation = v, reached, turned


# --- what is clean


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 60))
def test_a_clean_command_passes_bit_for_bit(seed, milliseconds):
    rng = np.random.default_rng(seed)
    safety = SafetyFilter(robot(max_deviation=0.3))
    now, start, amplitude, pulse = 10**9, rng.uniform(-0.2, 0.2, N), rng.uniform(0, 0.3, N), rng.uniform(0.2, 1.5, N)
    for i in range(60):
        t = i * milliseconds / 1e3
        wanted = start + amplitude * (1 - np.cos(pulse * t)) / 2
        command = joint(wanted, velocities=amplitude * pulse * np.sin(pulse * t) / 2, gripper=1.0)
        now += milliseconds * 10**6
        verdict = safety.step(command, at(now, start if i == 0 else wanted), now)
        assert verdict.state == State.PASS and verdict.reasons == ()
        assert verdict.command is command


def test_a_clean_twist_and_a_clean_pose_pass_bit_for_bit():
    for commands in (
        [twist([0.01 * i, 0.0, -0.01 * i]) for i in range(20)],
        [pose([0.0002 * i * i, 0.0, 0.5], Rotation.from_rotvec([0, 0, 0.001 * i]).as_quat()) for i in range(20)],
    ):
        safety, start = SafetyFilter(FAKE), at(0, quaternion=[0, 0, 0, 1])
        for i, command in enumerate(commands):
            now = (i + 1) * PERIOD
            verdict = safety.step(command, replace(start, stamp=now), now)
            assert verdict.state == State.PASS, verdict.reasons
            assert verdict.command is command


# --- what is not


def run(safety, commands, now=10**9, joints=None):
    """Verdicts of commands one control period apart, on an arm that follows."""
    verdicts, position = [], np.zeros(N) if joints is None else joints
    for command in commands:
        now += PERIOD
        verdicts.append(safety.step(command, at(now, position), now))
        if verdicts[-1].command is not None:
            position = verdicts[-1].command.positions
    return verdicts


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (None, Reason.NO_COMMAND),
        ("move", Reason.MALFORMED_COMMAND),
        (joint(np.zeros(5)), Reason.MALFORMED_COMMAND),
        (joint([]), Reason.MALFORMED_COMMAND),
        (CartesianCommand(), Reason.MALFORMED_COMMAND),
        (joint([np.nan] * N), Reason.NAN_COMMAND),
        (joint([np.inf] * N), Reason.NAN_COMMAND),
        (joint(np.zeros(N), gripper=np.nan), Reason.NAN_COMMAND),
        (joint(np.zeros(N), velocities=[np.nan] * N), Reason.NAN_COMMAND),
        (joint(np.zeros(N), valid_until=10**9), Reason.STALE_COMMAND),
    ],
)
def test_an_unusable_command_brakes_and_stands(command, reason):
    safety = SafetyFilter(FAKE)
    moving = run(safety, [joint(np.full(N, 0.005 * i * i)) for i in range(8)])
    assert moving[-1].state == State.PASS
    speed = 0.065 / DT
    now, last = 10**9 + 8 * PERIOD, moving[-1].command.positions
    for _ in range(20):
        now += PERIOD
        verdict = safety.step(command, at(now, last), now)
        assert verdict.state == State.HOLD and verdict.reasons == (reason,)
        moved = (verdict.command.positions - last) / DT
        assert moved[0] == pytest.approx(max(speed - 5.0 * DT, 0.0), abs=1e-9)  # at the acceleration limit
        speed, last = moved[0], verdict.command.positions
    assert speed == 0 and not verdict.command.velocities.any()


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        (lambda now: None, Reason.NO_STATE),
        (lambda now: at(now - 200_000_001), Reason.STALE_STATE),
        (lambda now: at(now, np.full(N, np.nan)), Reason.MALFORMED_STATE),
        (lambda now: at(now, np.zeros(7)), Reason.MALFORMED_STATE),
    ],
)
def test_without_a_good_measurement_it_holds_and_begins_anew_when_there_is_one(measured, reason):
    safety, now = SafetyFilter(FAKE), 10**9
    assert safety.step(joint(np.zeros(N)), measured(now), now).command is None  # nothing is known yet: nothing is sent
    assert run(safety, [joint(np.full(N, 0.001))])[0].state == State.PASS
    for i in range(6):
        now = 10**9 + (2 + i) * PERIOD
        verdict = safety.step(joint(np.full(N, 0.001)), measured(now), now)
        assert verdict.state == State.HOLD and verdict.reasons == (reason,)
    moved = np.full(N, 0.7)  # by hand, while nobody looked
    verdict = safety.step(joint(moved), at(now + PERIOD, moved), now + PERIOD)
    assert verdict.state == State.PASS and verdict.command.positions is moved


def test_a_measurement_at_the_limit_of_its_age_is_still_good():
    now = 10**9
    assert SafetyFilter(FAKE).step(joint(np.zeros(N)), at(now - 200_000_000), now).state == State.PASS


@pytest.mark.parametrize(
    ("limits", "steps", "reason"),
    [
        ({}, [0.0, 0.2], Reason.JOINT_VELOCITY),
        ({}, [0.0, 0.05], Reason.JOINT_ACCELERATION),
        ({"joint_jerk": (20.0,) * N}, [0.0, 0.01], Reason.JOINT_JERK),
        ({}, [1.6], Reason.JOINT_POSITION),
        ({"max_deviation": 0.1}, [0.2], Reason.DEVIATION),
        ({"blend_in": 1.0}, [0.0], Reason.BLEND_IN),
    ],
)
def test_each_limit_is_named(limits, steps, reason):
    for policy, state in (("clamp", State.CLAMP), ("hold", State.HOLD)):
        verdict = run(SafetyFilter(robot(policy=policy, **limits)), [joint(np.full(N, x)) for x in steps])[-1]
        assert reason in verdict.reasons
        assert verdict.state == (State.CLAMP if reason == Reason.BLEND_IN else state)


def test_feeding_forward_too_fast_is_refused():
    verdict = run(SafetyFilter(FAKE), [joint(np.zeros(N), velocities=np.full(N, 2.1))])[0]
    assert verdict.reasons == (Reason.JOINT_VELOCITY,)


def test_a_clamped_jump_arrives_and_stays_there():
    verdicts = run(SafetyFilter(FAKE), [joint(np.full(N, 1.5))] * 80)
    path = np.array([v.command.positions[0] for v in verdicts])
    assert verdicts[0].state == State.CLAMP and verdicts[-1].state == State.PASS
    assert path[-1] == 1.5 and path.max() <= 1.5 + 1e-9
    assert (np.diff(path) >= -1e-9).all()
    assert np.abs(np.diff(path)).max() / DT > 1.9  # at nearly full speed in between


def test_a_clamped_start_is_as_smooth_as_the_jerk_limit_says():
    verdicts = run(SafetyFilter(robot(joint_jerk=(20.0,) * N)), [joint(np.full(N, 1.5))] * 8)
    path = np.array([0.0, 0.0, 0.0, *(v.command.positions[0] for v in verdicts)])
    jerk = np.diff(path, n=3) / DT**3
    assert verdicts[0].state == State.CLAMP
    assert jerk[:4] == pytest.approx(20.0, abs=1e-6) and jerk.max() <= 20.0 + 1e-6  # grows as fast as it may, no faster


def test_blending_in_starts_from_rest_and_ends_in_following():
    target = np.full(N, 0.2)
    verdicts = run(SafetyFilter(robot(blend_in=1.0)), [joint(target)] * 30)
    path = np.array([v.command.positions[0] for v in verdicts])
    assert path[0] == 0.0 and path[10] == pytest.approx(0.1)  # half the way at half the time
    assert [v.state for v in verdicts] == [State.CLAMP] * 20 + [State.PASS] * 10
    assert np.abs(np.diff(path, n=2)).max() / DT**2 < 5.0


def test_a_pose_never_runs_away_from_an_arm_that_does_not_follow():
    safety, now = SafetyFilter(robot(max_distance=0.1)), 10**9
    for i in range(60):
        now += PERIOD
        verdict = safety.step(pose([0.3, 0.3, 0.5]), at(now), now)
        assert Reason.DEVIATION in verdict.reasons and verdict.state == State.CLAMP
        assert np.linalg.norm(verdict.command.position - [0.0, 0.0, 0.5]) <= 0.1 + 1e-9
    assert verdict.command.position == pytest.approx([0.1 / 2**0.5, 0.1 / 2**0.5, 0.5])


def test_a_pose_is_blended_in_from_where_the_hand_is():
    safety, turned = SafetyFilter(robot(blend_in=1.0)), Rotation.from_rotvec([0, 0, 0.4]) * Rotation.from_quat(DOWN)
    out = []
    for i in range(25):
        now = 10**9 + i * PERIOD
        out.append(safety.step(pose([0.1, 0.0, 0.5], turned.as_quat()), at(now), now))
    half = Rotation.from_quat(out[10].command.quaternion) * Rotation.from_quat(DOWN).inv()
    assert out[0].command.position == pytest.approx([0.0, 0.0, 0.5])
    assert out[10].command.position[0] == pytest.approx(0.05) and half.as_rotvec()[2] == pytest.approx(0.2)
    assert [v.state for v in out] == [State.CLAMP] * 20 + [State.PASS] * 5


def test_speed_scale_slows_and_may_be_lowered_while_moving():
    safety = SafetyFilter(FAKE)
    path = [v.command.positions[0] for v in run(safety, [joint(np.full(N, 1.5))] * 12)]
    assert (path[-1] - path[-2]) / DT > 1.5
    safety.speed_scale = 0.1
    now, last = 10**9 + 12 * PERIOD, np.full(N, path[-1])
    speeds = []
    for _ in range(10):
        now += PERIOD
        out = safety.step(joint(np.full(N, 1.5)), at(now, last), now).command.positions
        speeds.append((out - last)[0] / DT)
        last = out
    assert speeds[-1] == pytest.approx(0.2)
    for wrong in (0.0, 1.1, -1.0, float("nan")):
        with pytest.raises(UsageError, match="speed_scale"):
            safety.speed_scale = wrong


def test_dry_run_judges_and_stands():
    safety = SafetyFilter(FAKE)
    safety.dry_run = True
    ok, jump = run(safety, [joint(np.full(N, 0.001)), joint(np.full(N, 1.0))])
    assert ok.reasons == (Reason.DRY_RUN,) and Reason.JOINT_VELOCITY in jump.reasons
    assert ok.state == jump.state == State.HOLD and not jump.command.positions.any()


def test_an_emergency_stop_is_latched_until_reset_and_then_starts_from_rest():
    safety = SafetyFilter(robot(blend_in=0.5))
    safety.estop()
    assert safety.step(None, None, 10**9).state == State.ESTOP
    safety.reset()
    run(safety, [joint(np.full(N, 0.5))] * 20, now=2 * 10**9)
    safety.estop()
    now = 2 * 10**9 + 20 * PERIOD
    joints = np.full(N, 0.4)
    verdict = safety.step(joint(np.full(N, 0.5)), at(now + PERIOD, joints), now + PERIOD)
    assert verdict.state == State.ESTOP and verdict.reasons == (Reason.ESTOP,)
    assert verdict.command.velocities.any() and not safety.reset()  # still braking
    for i in range(2, 20):
        verdict = safety.step(joint(np.full(N, 0.5)), at(now + i * PERIOD, joints), now + i * PERIOD)
        assert verdict.state == State.ESTOP
    assert not verdict.command.velocities.any() and safety.estopped
    assert safety.reset() and not safety.estopped
    verdict = safety.step(joint(np.full(N, 0.5)), at(now + 20 * PERIOD, joints), now + 20 * PERIOD)
    assert verdict.reasons == (Reason.BLEND_IN,) and (verdict.command.positions == joints).all()


def test_a_clock_that_stands_or_runs_backwards_stands_the_arm():
    safety = SafetyFilter(FAKE)
    last = run(safety, [joint(np.full(N, 0.005 * i * i)) for i in range(5)])[-1].command.positions
    for now in (10**9 + 5 * PERIOD, 10**9):
        verdict = safety.step(joint(np.full(N, 0.1)), at(now, last), now)
        assert verdict.state == State.HOLD and Reason.CLOCK in verdict.reasons
        assert (verdict.command.positions == last).all() and not verdict.command.velocities.any()


def test_a_held_gripper_keeps_what_it_was_told():
    safety = SafetyFilter(FAKE)
    verdicts = run(safety, [joint(np.zeros(N), gripper=1.0), None, joint(np.zeros(N), gripper=np.inf)])
    assert [v.command.gripper for v in verdicts] == [1.0, 1.0, 1.0]


def test_joint_commands_keep_to_the_workspace_where_the_kinematics_are_known():
    def forward(q):  # a planar arm of two links of 0.3 m about z
        a, b = q[0], q[0] + q[1]
        return np.array([0.3 * (np.cos(a) + np.cos(b)), 0.3 * (np.sin(a) + np.sin(b)), 0.5])

    start = np.array([0.0, 1.2, 0, 0, 0, 0])
    target = joint(np.zeros(N))  # stretched out: the hand at x = 0.6, beyond the box
    free = run(SafetyFilter(FAKE), [target] * 60, joints=start)
    kept = run(SafetyFilter(FAKE, forward=forward), [target] * 60, joints=start)
    assert forward(free[-1].command.positions)[0] > 0.55
    assert max(forward(v.command.positions)[0] for v in kept) <= 0.5 + 1e-6
    assert kept[-1].state == State.HOLD and Reason.WORKSPACE in kept[-1].reasons
    back = run(SafetyFilter(FAKE, forward=forward), [joint(start)] * 60, joints=np.zeros(N))
    assert (back[-1].command.positions == start).all()  # from outside there is a way in


def test_a_contract_without_limits_is_refused():
    with pytest.raises(CladError, match="fake has no limits.*docs/safety.md"):
        SafetyFilter(replace(FAKE, limits=None))
