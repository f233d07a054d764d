"""Bags as the recorder writes them: every control step a row, the last look held, nothing missing unnoticed."""

import numpy as np
import pytest
from tiny_bag import CONTRACT, RUNNING, STEPS, TIMEOUT, data, messages, write_bag

from clad.data.rosbag import episode_names, fingerprint, read_episode
from clad.errors import CladError


def test_every_control_step_is_a_row_and_the_last_look_is_held(tmp_path):
    d = data()
    path = write_bag(tmp_path / "bag", messages(d))
    (name,) = episode_names(path)
    e = read_episode(path, name, CONTRACT)
    assert np.array_equal(e.executed, d.actions) and np.array_equal(e.expert, d.actions)
    assert np.array_equal(e.joint_position, d.joints[:STEPS, :7])  # by name: the messages list them backwards
    assert np.array_equal(e.joint_velocity, d.velocities[:STEPS, :7])
    assert np.array_equal(e.gripper_position, d.joints[:STEPS, 7:])
    assert np.array_equal(e.ee_position, d.positions[:STEPS]) and np.array_equal(e.ee_quaternion[2], [1, 0, 0, 0])
    assert np.flatnonzero(e.image_valid).tolist() == [0, 3, 6]
    for camera in CONTRACT.cameras:
        assert np.array_equal(e.images[camera], d.images[camera][[0, 0, 0, 3, 3, 3, 6, 6]])
    assert e.instruction == "put it away" and e.label_valid.all()
    assert e.meta["outcome"] == "success" and (e.meta["suite"], e.meta["task"], e.meta["seed"]) == ("libero_10", 5, 21)
    assert e.meta["model"] == "tiny" and "version.numpy" not in e.meta


def test_repeated_messages_fall_together(tmp_path):
    d = data()
    twice = [m for m in messages(d) for _ in range(2)]
    assert np.array_equal(read_episode(write_bag(tmp_path / "bag", twice), "episode_0", CONTRACT).executed, d.actions)


def test_only_what_led_to_success_is_an_example(tmp_path):
    good = read_episode(write_bag(tmp_path / "a", messages(data(), holds=(2, 5))), "episode_0", CONTRACT)
    assert np.flatnonzero(~good.label_valid).tolist() == [2, 5]
    for name, phase, outcome in (("b", TIMEOUT, "timeout"), ("c", RUNNING, "cut off")):
        bad = read_episode(write_bag(tmp_path / name, messages(data(), outcome=phase)), "episode_0", CONTRACT)
        assert not bad.label_valid.any() and bad.meta["outcome"] == outcome and len(bad) == STEPS


def test_a_killed_recorders_bag_gives_what_is_whole(tmp_path):
    path = write_bag(tmp_path / "bag", messages(data()))
    file = next(path.glob("*.mcap"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) - 700])  # the index and the end are gone, the chunk is there
    assert len(read_episode(path, "episode_0", CONTRACT)) == STEPS


def without(topic, n):
    """The stream of an episode with the n-th message of a topic left out."""
    seen = 0
    for item in messages(data()):
        if item[0] == topic:
            seen += 1
            if seen == n + 1:
                continue
        yield item


@pytest.mark.parametrize(
    ("stream", "metadata", "message"),
    [
        (without("/executed_action", 4), None, "/executed_action: step 4 is missing"),
        (without("/executed_action", 7), None, "action_hash"),  # the last one: only the hash can tell
        (without("/joint_states", 2), None, "/joint_states: nothing at step 2"),
        (without("/ee_pose", 0), None, "/ee_pose: nothing at step 0"),
        (without("/wrist/image_raw", 0), None, "/wrist/image_raw: nothing at step 0"),
        ([*messages(data()), *messages(data(), episode=2)], None, "have the same time"),
        ([m for m in messages(data()) if m[0] != "/episode"], None, "/episode: nothing was said"),
        ([], None, "no action was recorded"),
        (messages(data()), {"contract": "so101", "contract_hash": "0" * 64}, "shows robot so101"),
        (messages(data(), hash="0" * 64), None, "action_hash"),
    ],
)
def test_what_is_missing_or_foreign_is_named(tmp_path, stream, metadata, message):
    path = write_bag(tmp_path / "bag", stream, metadata)
    with pytest.raises(CladError, match=message) as error:
        read_episode(path, "episode_0", CONTRACT)
    assert str(path) in str(error.value)


def test_fingerprint_follows_the_actions(tmp_path):
    a, b, c = (write_bag(tmp_path / n, messages(data(s))) for n, s in (("a", 0), ("b", 0), ("c", 1)))
    assert fingerprint(a, "episode_0") == fingerprint(b, "episode_0") != fingerprint(c, "episode_0")
    with pytest.raises(CladError, match="no bag"):
        episode_names(tmp_path)


def of_an_arm(stream, delay_ms, protocol="robot"):
    """The same messages from an arm: each action begins some time after what it was decided on."""
    for topic, kind, message in stream:
        if topic == "/executed_action":
            stamp = message["header"]["stamp"]
            late = stamp["sec"] * 10**9 + stamp["nanosec"] + delay_ms * 10**6
            message = {
                **message,
                "header": {**message["header"], "stamp": {"sec": late // 10**9, "nanosec": late % 10**9}},
            }
        elif topic == "/episode":
            message = {**message, "protocol": protocol}
        yield topic, kind, message


def test_on_an_arm_a_row_is_the_newest_that_was_known(tmp_path):
    simulated = read_episode(write_bag(tmp_path / "sim", messages(data())), "episode_0", CONTRACT)
    for delay in (3, 37):
        path = write_bag(tmp_path / f"arm{delay}", of_an_arm(messages(data()), delay))
        episode = read_episode(path, "episode_0", CONTRACT)
        for name in ("joint_position", "ee_position", "executed", "image_valid"):
            assert np.array_equal(getattr(episode, name), getattr(simulated, name)), name
        assert np.array_equal(episode.images["wrist"], simulated.images["wrist"])
        assert episode.meta["protocol"] == "robot"


def test_a_state_that_is_too_old_is_none_and_in_the_simulator_only_its_own_stamp_counts(tmp_path):
    frozen = [m for m in of_an_arm(messages(data()), 10) if m[0] != "/joint_states"]
    first = next(m for m in messages(data()) if m[0] == "/joint_states")
    with pytest.raises(CladError, match="/joint_states: nothing at step 3"):  # 3 periods and 10 ms after the only one
        read_episode(write_bag(tmp_path / "frozen", [first, *frozen]), "episode_0", CONTRACT)
    with pytest.raises(CladError, match="/joint_states: nothing at step 0"):
        read_episode(write_bag(tmp_path / "sim", of_an_arm(messages(data()), 10, "exact")), "episode_0", CONTRACT)
