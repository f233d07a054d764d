"""Official LIBERO files: late observations, velocities from the states, instruction from the file name, demo counts."""

import h5py
import mujoco
import numpy as np
import pytest
from random_episode import make_episode

from clad.data import libero_official as official
from clad.data.libero_hdf5 import read_episode
from clad.errors import CladError

ARM = "".join(
    f'<body name="l{i}" pos="0 0 .1"><joint name="robot0_joint{i}" axis="0 {i % 2} {1 - i % 2}" damping="1"/>'
    f'<geom size=".02" mass=".1"/>'
    for i in range(1, 8)
)
MODEL = (
    '<mujoco><default><joint damping="0"/></default><worldbody>' + ARM + "</body>" * 7 +
    '<body name="knob"><joint name="knob" type="slide"/><geom size=".02"/></body>'
    '<body name="book" pos="1 0 1"><freejoint name="book"/><geom size=".02"/></body></worldbody></mujoco>'
)  # fmt: skip
STEPS = 8


def replay():
    """What upstream's recording sees of a moving arm: states before each step, arm positions and velocities."""
    model = mujoco.MjModel.from_xml_string(MODEL)
    data = mujoco.MjData(model)
    data.qvel[:7] = np.linspace(0.2, 1, 7)
    states, positions, velocities = [], [], []
    for _ in range(STEPS + 1):
        states.append(np.concatenate([[data.time], data.qpos, data.qvel]))
        positions.append(data.qpos[:7].copy())
        velocities.append(data.qvel[:7].copy())
        mujoco.mj_step(model, data, nstep=25)
    return np.array(states), np.array(positions), np.array(velocities)


@pytest.fixture
def upstream_file(tmp_path):
    """A file as scripts/create_dataset.py writes it: row t of obs is from after action t, of states from before."""
    path = tmp_path / "KITCHEN_SCENE10_close_the_top_drawer_demo.hdf5"
    episode = make_episode(STEPS)
    states, positions, _ = replay()
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["bddl_file_name"] = "libero/bddl_files/libero_90/KITCHEN_SCENE10_close_the_top_drawer.bddl"
        data.attrs["bddl_file_content"] = "(define ...)"
        data.attrs["problem_info"] = '{"language_instruction": ["close", "it"]}'
        data.attrs["num_demos"], data.attrs["total"] = 1, STEPS
        demo = data.create_group("demo_0")
        demo.attrs["model_file"] = MODEL
        demo["actions"], demo["states"] = episode.executed, states[:STEPS]
        obs = demo.create_group("obs")
        obs["joint_states"] = positions[1:]
        obs["gripper_states"], obs["ee_pos"] = episode.gripper_position, episode.ee_position
        obs["ee_ori"] = np.tile([np.pi, 0, 0], (STEPS, 1))
        obs["agentview_rgb"], obs["eye_in_hand_rgb"] = episode.images["agentview"], episode.images["wrist"]
    return path


def test_late_observations_are_paired_with_the_next_action(upstream_file):
    episode, (_, positions, velocities) = make_episode(STEPS), replay()
    read = read_episode(upstream_file, "demo_0")
    assert len(read) == STEPS - 1
    assert np.array_equal(read.executed, episode.executed[1:]) and np.array_equal(read.expert, read.executed)
    assert np.array_equal(read.joint_position, positions[1:STEPS])
    assert np.array_equal(read.joint_velocity, velocities[1:STEPS])  # the states' own, not differences
    assert np.array_equal(read.ee_position, episode.ee_position[:-1])
    assert np.array_equal(read.images["agentview"], episode.images["agentview"][:-1, ::-1])
    assert np.allclose(read.ee_quaternion, [1, 0, 0, 0])
    assert "one step late" in read.meta["observations"]
    assert read.instruction == "close the top drawer" and read.meta["task_name"].endswith("close_the_top_drawer")


def test_observations_in_step_stay_as_they_are(upstream_file):
    _, positions, velocities = replay()
    with h5py.File(upstream_file, "r+") as file:
        file["data/demo_0/obs/joint_states"][:] = positions[:STEPS]
    read = read_episode(upstream_file, "demo_0")
    assert len(read) == STEPS and "observations" not in read.meta
    assert np.array_equal(read.joint_velocity, velocities[:STEPS])


def test_without_a_model_velocities_are_differences(upstream_file):
    with h5py.File(upstream_file, "r+") as file:
        del file["data/demo_0"].attrs["model_file"]
    _, positions, _ = replay()
    read = read_episode(upstream_file, "demo_0")
    assert np.allclose(read.joint_velocity[3], (positions[5] - positions[3]) / 2 * 20)


@pytest.mark.parametrize("xml", [None, "<mujoco>", MODEL.replace('<joint name="knob" type="slide"/>', ""), "<a/>"])
def test_a_model_that_does_not_belong_to_the_states_is_not_used(xml):
    states, *_ = replay()
    assert official.velocities_from_states(states, xml) is None


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("LIVING_ROOM_SCENE1_pick_up_the_soup_and_put_it_in_the_basket", "pick up the soup and put it in the basket"),
        ("KITCHEN_SCENE10_close_the_top_drawer", "close the top drawer"),
        ("pick_up_the_SCENE_card", "pick up the SCENE card"),
    ],
)
def test_the_instruction_is_the_file_names(file, words):
    attrs = {"bddl_file_name": f"a/b/{file}.bddl", "problem_info": '{"language_instruction": "other"}'}
    assert official.instruction(attrs) == words
    assert official.instruction({"problem_info": '{"language_instruction": "\\"other\\""}'}) == "other"


def test_counts_that_do_not_hold_are_named(upstream_file):
    assert official.count_problems(upstream_file) == [("demos", "are 1, upstream's files hold 50")]
    with h5py.File(upstream_file, "r+") as file:
        file["data"].attrs["num_demos"], file["data"].attrs["total"] = 50, 9
    assert [name for name, _ in official.count_problems(upstream_file)] == ["num_demos", "total", "demos"]


@pytest.mark.parametrize("field", ["actions", "obs/joint_states", "obs/gripper_states", "obs/ee_pos", "obs/ee_ori"])
def test_a_missing_or_short_field_is_named(upstream_file, field):
    with h5py.File(upstream_file, "r+") as file:
        values = file["data/demo_0"][field][:]
        del file["data/demo_0"][field]
    with pytest.raises(CladError, match=f"{upstream_file.name}: demo_0 has no dataset {field}"):
        read_episode(upstream_file, "demo_0")
    if field.startswith("obs/g"):
        with h5py.File(upstream_file, "r+") as file:
            file["data/demo_0"][field] = values[:-2]
        with pytest.raises(CladError, match=f"demo_0: {field} has 6 rows, actions 8"):
            read_episode(upstream_file, "demo_0")
