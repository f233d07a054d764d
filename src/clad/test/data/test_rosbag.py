"""Bags as the recorder writes them: every control step a row, the last look held, nothing missing unnoticed."""

import numpy as np
import pytest
from tiny_bag import CONTRACT, PERIOD, RUNNING, STEPS, TIMEOUT, changed, data, messages, moved, write_bag

from clad.data.bag_runs import runs
from clad.data.rosbag import Told, _streams, episode_names, fingerprint, read_episode
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


def other_type(topic, kind):
    """An episode's stream with a topic of another type: that of the hand's pose."""
    pose = next(message for name, _, message in messages(data()) if name == "/ee_pose")
    return [(t, kind, pose) if t == topic else (t, k, m) for t, k, m in messages(data())]


def at_half_the_rate():
    """Each action lasts two periods."""
    return [
        item
        for topic, kind, message in messages(data())
        for item in moved([(topic, kind, message)], PERIOD * message.get("step", 0), ("/executed_action",))
    ]


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
        (other_type("/joint_states", "geometry_msgs/msg/PoseStamped"), None, "is geometry_msgs/msg/PoseStamped, not"),
        (at_half_the_rate(), None, "come every 100 ms, libero's control period is 50 ms"),
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
    late = moved(stream, delay_ms * 10**6, ("/executed_action",))
    return changed(late, "/episode", lambda message: message | {"protocol": protocol})


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


def test_a_long_recording_is_several_episodes(tmp_path):
    """Each is what it would be alone; another's observations do not leak into it."""
    first, second = data(0), data(1)
    alone = [messages(first, episode=7), moved(messages(second, episode=8, outcome=TIMEOUT), 10**9)]
    path = write_bag(tmp_path / "long", [*alone[0], *alone[1]])
    assert episode_names(path) == ["episode_0", "episode_1"]
    for name, d, outcome in (("episode_0", first, "success"), ("episode_1", second, "timeout")):
        episode = read_episode(path, name, CONTRACT)
        assert np.array_equal(episode.executed, d.actions) and np.array_equal(
            episode.joint_position, d.joints[:STEPS, :7]
        )
        assert np.array_equal(episode.images["wrist"][3], d.images["wrist"][3]) and episode.meta["outcome"] == outcome
    held = _streams(path, CONTRACT, *runs(path)[1].span)  # memory is bounded by one episode
    assert len(held.joints) == STEPS and len(held.images["wrist"]) == 3
    assert fingerprint(path, "episode_0") != fingerprint(path, "episode_1")
    with pytest.raises(CladError, match="has no episode episode_2. It has episode_0, episode_1"):
        read_episode(path, "episode_2", CONTRACT)


def test_a_bridge_that_was_restarted_is_noticed(tmp_path):
    again = [*messages(data(0)), *moved(messages(data(1)), 10**9)]
    with pytest.raises(CladError, match="step 0 of episode 1 was executed twice. The bridge was restarted"):
        episode_names(write_bag(tmp_path / "bag", again))


def by(sources):
    """The steps' sources, by step."""
    return lambda message: message | {"source": sources[message["step"]]}


CHUNK, HOLD, SERVICE = 1, 2, 3


@pytest.mark.parametrize(
    ("sources", "outcome", "imitated", "corrections"),
    [
        ([CHUNK] * 3 + [SERVICE] * 3 + [CHUNK] * 2, "success", [0, 1, 2, 3, 4, 5, 6, 7], 3),
        ([CHUNK] * 3 + [SERVICE] * 3 + [CHUNK, HOLD], "success", [0, 1, 2, 3, 4, 5, 6], 3),
        ([CHUNK] * 3 + [SERVICE] * 3 + [CHUNK] * 2, "timeout", [3, 4, 5], 3),  # the correction alone
        ([CHUNK] * 3 + [SERVICE] * 3 + [CHUNK] * 2, "cut off", [3, 4, 5], 3),
        ([SERVICE] * 8, "success", list(range(8)), None),  # a demonstration, judged as any other
        ([SERVICE] * 8, "timeout", [], None),
        ([0] * 8, "success", list(range(8)), None),  # a driver that knows no sources
    ],
)
def test_a_persons_correction_is_imitated_whatever_came_of_it(tmp_path, sources, outcome, imitated, corrections):
    phase = {"success": 2, "timeout": TIMEOUT, "cut off": RUNNING}[outcome]
    path = write_bag(tmp_path / "bag", changed(messages(data(), outcome=phase), "/executed_action", by(sources)))
    episode = read_episode(path, "episode_0", CONTRACT)
    assert np.flatnonzero(episode.label_valid).tolist() == imitated
    assert episode.meta["outcome"] == outcome and episode.meta.get("corrections") == corrections


@pytest.mark.parametrize(("outcome", "imitated"), [("success", STEPS), ("failure", 0)])
def test_what_a_bag_does_not_say_may_be_told(tmp_path, outcome, imitated):
    """Teleoperation without /episode: stamps need not agree, as on an arm."""
    silent = [item for item in moved(messages(data()), 7 * 10**6, ("/executed_action",)) if item[0] != "/episode"]
    path = write_bag(tmp_path / "bag", silent, {"operator": "anna"})
    episode = read_episode(path, "episode_0", CONTRACT, Told(instruction="stack the cups", outcome=outcome))
    assert episode.instruction == "stack the cups" and episode.meta["outcome"] == outcome
    assert episode.label_valid.sum() == imitated and np.array_equal(episode.executed, data().actions)
    for told in (Told(), Told(instruction="stack the cups"), Told(outcome="success")):
        with pytest.raises(CladError, match="with --instruction and --outcome"):
            read_episode(path, "episode_0", CONTRACT, told)


def test_what_a_bag_says_itself_counts_and_what_it_leaves_open_may_be_told(tmp_path):
    told = Told(instruction="something else", outcome="success")
    failed = read_episode(write_bag(tmp_path / "a", messages(data(), outcome=TIMEOUT)), "episode_0", CONTRACT, told)
    assert failed.instruction == "put it away" and failed.meta["outcome"] == "timeout" and not failed.label_valid.any()
    cut = read_episode(write_bag(tmp_path / "b", messages(data(), outcome=RUNNING)), "episode_0", CONTRACT, told)
    assert cut.meta["outcome"] == "success" and cut.label_valid.all()


def test_cameras_of_their_own_pace_are_paired_by_the_first(tmp_path):
    """The second camera is 20 ms behind; its nearest picture that was there at the action belongs to the look."""
    apart = list(moved(of_an_arm(messages(data()), 30), -20 * 10**6, ("/wrist/image_raw",)))
    wrist = [item for item in apart if item[0] == "/wrist/image_raw"]
    older = changed(moved(wrist, -60 * 10**6), "/wrist/image_raw", lambda m: m | {"data": bytes(len(m["data"]))})
    apart += older  # black ones, in time too, but farther away
    episode = read_episode(write_bag(tmp_path / "bag", apart), "episode_0", CONTRACT)
    assert np.flatnonzero(episode.image_valid).tolist() == [0, 3, 6]
    assert np.array_equal(episode.images["wrist"], data().images["wrist"][[0, 0, 0, 3, 3, 3, 6, 6]])
    too_far = moved(of_an_arm(messages(data()), 30), 200 * 10**6, ("/wrist/image_raw",))
    with pytest.raises(CladError, match="/wrist/image_raw: nothing at step 0"):
        read_episode(write_bag(tmp_path / "far", too_far), "episode_0", CONTRACT)
