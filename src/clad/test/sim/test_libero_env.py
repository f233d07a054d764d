"""The LIBERO adapter on the real simulator: exact scenes, one instant per observation, conventions, refusals."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from clad.errors import CladError, UsageError
from clad.sim import scene, suites
from clad.sim.libero_env import LiberoEnv

DRIFTING = ("libero_10", 3)  # upstream's loop gives another scene at every reset of this task


@pytest.fixture(scope="module")
def env():
    with LiberoEnv(*DRIFTING) as env:
        yield env


def fingerprint(env: LiberoEnv, init: int, seed: int, steps: int = 8, observe: bool = True) -> tuple[str, str]:
    """Scene hash, and a hash over all states and pixels of a short episode of random actions."""
    env.reset(init, seed, "exact")
    digest = hashlib.sha256()
    for action in np.random.default_rng(3).uniform(-1, 1, (steps, 7)):
        if observe:
            images = env.observe().images
            digest.update(b"".join(images[c].tobytes() for c in sorted(images)))
        env.step(action)
        digest.update(env.state().tobytes())
    return env.scene_hash(), digest.hexdigest()


def elsewhere(suite: str, task: int, init: int, seed: int) -> tuple[str, str]:
    """The same in another process."""
    code = (
        f"import sys, json; sys.path.insert(0, {str(__file__).rsplit('/', 1)[0]!r})\n"
        "from test_libero_env import fingerprint, LiberoEnv\n"
        f"with LiberoEnv({suite!r}, {task}) as env: print(json.dumps(fingerprint(env, {init}, {seed})))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return tuple(json.loads(run.stdout.splitlines()[-1]))


def test_exact_protocol_repeats_on_one_environment(env):
    first = fingerprint(env, 0, 0)
    other = fingerprint(env, 1, 7)
    assert fingerprint(env, 0, 0) == first
    assert other[0] != first[0]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("suite", "task"), [DRIFTING, ("libero_10", 8), ("libero_10", 9), ("libero_spatial", 4)])
def test_exact_protocol_repeats_on_a_new_environment_and_in_another_process(suite, task):
    with LiberoEnv(suite, task) as one:
        fingerprint(one, 4, 1)
        first = fingerprint(one, 2, 0)
        with LiberoEnv(suite, task) as two:  # beside the first: both draw in the same process
            fresh = fingerprint(two, 2, 0)
            again = fingerprint(one, 2, 0)
            one.step(np.ones(7))
            two.step(-np.ones(7))
            a, b, c = one.observe().images, two.observe().images, one.observe().images
            assert all(np.array_equal(a[k], c[k]) and not np.array_equal(a[k], b[k]) for k in a)
    assert first == again == fresh == elsewhere(suite, task, 2, 0)


def test_classic_protocol_drifts_as_upstreams_loop_does(env):
    env.reset(0, 0, "classic")
    first = scene.fixture_poses(env.upstream)
    state = env.state()
    env.reset(0, 0, "classic")
    assert not np.array_equal(scene.fixture_poses(env.upstream), first)
    assert env.step(np.zeros(7)).done is False
    assert state.shape == env.state().shape


def test_a_control_step_simulates_its_period(env):
    env.reset(0, 0, "exact")
    before = env.data.time
    for n in range(1, 6):
        env.step(np.full(7, 0.1))
        assert env.data.time - before == pytest.approx(n * env.contract.control_period, abs=1e-9)


def test_observing_changes_nothing(env):
    env.reset(0, 0, "exact")
    env.step(np.full(7, 0.3))
    state = env.state()
    env.observe()
    assert np.array_equal(env.state(), state)
    states = []
    for observe in (False, True):
        env.reset(0, 0, "exact")
        for action in np.random.default_rng(1).uniform(-1, 1, (10, 7)):
            if observe:
                env.observe(images=False)
            env.step(action)
        states.append(env.state())
    assert np.array_equal(*states)


def test_an_observation_is_of_one_instant_and_counts_steps(env):
    env.reset(0, 0, "exact")
    assert env.observe(images=False).step == 0
    for _ in range(3):
        env.step(np.array([1.0, 0, 0, 0, 0, 0, -1]))
    seen = env.observe(images=False)
    fresh = env.upstream.env._get_observations(force_update=True)  # upstream's sensors, read now
    assert seen.step == 3 and seen.images == {}
    for ours, theirs in {
        "joint_position": "robot0_joint_pos",
        "joint_velocity": "robot0_joint_vel",
        "gripper_position": "robot0_gripper_qpos",
        "ee_position": "robot0_eef_pos",
        "ee_quaternion": "robot0_eef_quat",
    }.items():
        assert np.allclose(getattr(seen, ours), fresh[theirs], atol=1e-9), ours
    assert seen.joint_velocity.std() > 0.01  # it was moving, so a stale value would have shown


def test_quaternion_is_xyzw_of_the_hand(env):
    env.reset(0, 0, "exact")
    for _ in range(6):
        env.step(np.array([0, 0, 0, 0.6, -0.4, 0.8, -1.0]))
    quaternion = env.observe(images=False).ee_quaternion
    hand = env.data.body("robot0_right_hand").xmat.reshape(3, 3)
    assert np.allclose(Rotation.from_quat(quaternion).as_matrix(), hand, atol=1e-9)
    assert hand[2, 2] < -0.8  # it points down, so x or y is the large component and a wxyz mix-up would show
    assert not np.allclose(Rotation.from_quat(np.roll(quaternion, 1)).as_matrix(), hand, atol=0.1)


def test_pictures_show_objects_where_the_camera_model_says(env):
    """Hide an object: the pixels that change lie around its projection. Mirrored or flipped pictures fail this."""
    env.reset(0, 0, "exact")
    before = env.observe().images["agentview"].astype(int)
    body = env.data.body("akita_black_bowl_1_main")
    u, v = project(env, "agentview", body.xpos)
    size = env.image_size
    assert abs(u - size / 2) > 6 and abs(v - size / 2) > 6  # off both middle lines, else a flip would not show
    geoms = [g for g in range(env.model.ngeom) if env.model.geom_bodyid[g] == body.id]
    alpha = env.model.geom_rgba[geoms, 3].copy()
    env.model.geom_rgba[geoms, 3] = 0
    changed = np.abs(env._render()["agentview"].astype(int) - before).sum(axis=2) > 30
    env.model.geom_rgba[geoms, 3] = alpha
    rows, columns = np.nonzero(changed)
    assert 10 < len(rows) < 0.1 * size**2
    assert abs(columns.mean() - u) < 3 and abs(rows.mean() - v) < 5


def project(env: LiberoEnv, camera: str, point: np.ndarray) -> tuple[float, float]:
    """Pixel (column, row) of a world point. MuJoCo's cameras look along -z with y up; pictures have y down."""
    view = env.data.camera(env.contract.cameras[camera].sim_name)
    local = view.xmat.reshape(3, 3).T @ (point - view.xpos) * [1, -1, -1]
    pixel = env.camera_intrinsics(camera) @ (local / local[2])
    return float(pixel[0]), float(pixel[1])


def test_sampled_scenes_repeat_differ_and_are_no_evaluation_states(env):
    states = suites.init_states(*DRIFTING)
    hashes, closest = [], np.inf
    for seed in (1000, 1001, 1000):
        scene.load_exact(env.upstream, seed, None)  # as sampled, before anything settles
        objects = env.state()[1 + 9 : 1 + env.model.nq]
        hashes.append(hashlib.sha256(objects.tobytes()).hexdigest())
        closest = min(closest, np.abs(states[:, 1 + 9 : 1 + env.model.nq] - objects).max(axis=1).min())
    assert hashes[0] == hashes[2] != hashes[1]
    assert closest > 1e-3
    evaluation = {hashlib.sha256(s[1 + 9 : 1 + env.model.nq].tobytes()).hexdigest() for s in states}
    assert not evaluation & set(hashes)


def test_refusals(env):
    with pytest.raises(UsageError, match="0..49"):
        env.reset(50, 0, "exact")
    with pytest.raises(UsageError, match="exact, classic"):
        env.reset(0, 0, "precise")
    with pytest.raises(UsageError, match="agentview, wrist"):
        env.camera_intrinsics("front")
    for bad in (np.zeros(6), np.full(7, np.nan)):
        with pytest.raises(CladError, match="7 finite"):
            env.step(bad)
    with pytest.raises(UsageError, match="full, fast"):
        LiberoEnv(*DRIFTING, visuals="nice")
