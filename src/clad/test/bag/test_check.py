"""What a recording lacks for the contract is said all at once, with the uses that it rules out."""

import json

import pytest
from tiny_bag import CONTRACT, PERIOD, RUNNING, TIMEOUT, changed, data, messages, moved, write_bag

from clad.bag.check import USES, check_bag
from clad.cli.main import main
from clad.data.rosbag import Told
from clad.errors import CladError

PLANS = ("/latent_foresight is missing", "/action_chunk is missing")  # a tiny bag's robot had no model
SIZE = 128


def stream(**changes):
    return messages(data(size=SIZE), **changes)


def check(tmp_path, items, told=Told(), metadata=None):
    return check_bag(write_bag(tmp_path / "bag", items, metadata), CONTRACT, told)


def spoilt(found):
    """Words of what rules something out -> what it rules out; without the plans, which every tiny bag lacks."""
    return {str(f): set(f.spoils) for f in found.findings if f.spoils and str(f) not in PLANS}


def good(found):
    return [use for use in USES if found.good_for(use)]


def test_a_good_bag_is_good_and_says_how_fast_its_topics_come(tmp_path):
    found = check(tmp_path, stream())
    assert spoilt(found) == {} and good(found) == ["report", "training"]  # no model: nothing to replay
    assert {str(f) for f in found.findings if f.spoils} == set(PLANS)
    facts = {topic.topic: topic for topic in found.topics}
    assert facts["/joint_states"].rate == pytest.approx(20.0) and facts["/joint_states"].longest_gap == pytest.approx(
        0.05
    )
    assert facts["/wrist/image_raw"].rate == pytest.approx(20.0 / 3) and facts["/wrist/image_raw"].messages == 4
    assert (found.episodes, found.steps, found.imitable, found.whole, found.files) == (1, 8, 8, True, 1)


def test_everything_is_said_at_once(tmp_path):
    items = changed(stream(), "/executed_action", lambda m: m | {"values": [2.0] * 7} if m["step"] == 3 else m)
    items = changed(items, "/joint_states", lambda m: m | {"velocity": [float("nan")] * 9})
    items = changed(items, "/ee_pose", lambda m: None)
    items = changed(items, "/wrist/image_raw", lambda m: m | {"encoding": "bgr8"})
    assert spoilt(check(tmp_path, items)) == {
        "/executed_action leaves [-1, 1], or is not a number (1 of 8 messages)": set(USES),
        "/joint_states has a velocity that is not a finite number (9 of 9 messages)": {"replay", "training"},
        "/ee_pose is missing": {"replay", "training"},
        "/wrist/image_raw is bgr8 128x128, the contract wants rgb8 128x128 (4 of 4 messages)": {"replay", "training"},
    }


def renamed(message):
    return message | {"name": ["elbow", *message["name"][1:]]}


def gripper_last(message):
    return message | {"names": ["gripper", *message["names"][1:]]}


POSE = {"position": {"x": 0.0, "y": 0.0, "z": 0.0}, "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 0.0}}


@pytest.mark.parametrize(
    ("topic", "change", "words"),
    [
        ("/joint_states", renamed, "lacks gripper0_finger_joint2; it has elbow"),
        ("/joint_states", lambda m: m | {"velocity": []}, "has 0 values of velocity for 9 joints (9 of 9"),
        ("/ee_pose", lambda m: m | {"pose": POSE}, "quaternion that is not of unit length (9 of 9"),
        ("/executed_action", gripper_last, "holds 7 values of gripper, dy"),
        ("/executed_action", lambda m: None if m["step"] in (2, 5) else m, "lacks 2 of 8 steps of episode 1: 2, 5"),
        ("/agentview/image_raw", lambda m: m | {"data": m["data"][:-3]}, "bytes in rows of 384, not packed rgb8"),
        ("/agentview/image_raw", lambda m: m | {"height": 64, "data": m["data"][: 64 * 384]}, "is rgb8 128x64"),
        ("/episode", lambda m: m | {"instruction": " "}, "instruction is blank"),
        ("/episode", lambda m: m | {"episode": 9}, "/episode says nothing of episode 1"),
        ("/episode", lambda m: None, "/episode is missing"),
    ],
)
def test_what_is_wrong_with_a_topic_is_named_and_spoils_training(tmp_path, topic, change, words):
    found = check(tmp_path, changed(stream(hash=""), topic, change))
    assert any(words in text and "training" in spoils for text, spoils in spoilt(found).items()), spoilt(found)


def test_stamps_that_go_back_and_gaps_and_rates(tmp_path):
    back = [item for t in stream() for item in moved([t], -3 * PERIOD - 1 if is_step(t, 5) else 0)]
    assert any("/joint_states has stamps that go back, 1 times" in text for text in spoilt(check(tmp_path, back)))
    (tmp_path / "x").mkdir()
    slow = [item for t in stream() for item in moved([t], PERIOD * t[2].get("step", 0), ("/executed_action",))]
    assert any("comes at 10 Hz, the contract has 20" in text for text in spoilt(check(tmp_path / "x", slow)))
    (tmp_path / "y").mkdir()
    arm = changed(stream(), "/episode", lambda m: m | {"protocol": "robot", "mode": "free-run"})
    gap = [t for t in arm if not any(is_step(t, step) for step in (2, 3, 4, 5))]
    found = check(tmp_path / "y", gap)
    assert any(str(f).startswith("/joint_states has 1 gaps over 0.15 s (3 periods)") for f in found.findings)
    assert any("/joint_states: nothing at step" in text for text in spoilt(found))


def is_step(item, step):
    """Whether this is the state that the arm had before that step."""
    stamp = item[2]["header"]["stamp"]
    return item[0] == "/joint_states" and stamp["sec"] * 10**9 + stamp["nanosec"] == 5 * 10**9 + step * PERIOD


def test_another_type_and_another_robot(tmp_path):
    pose = next(message for topic, _, message in stream() if topic == "/ee_pose")
    other = [
        (t, "geometry_msgs/msg/PoseStamped", pose) if t == "/executed_action" else (t, k, m) for t, k, m in stream()
    ]
    words = "/executed_action is geometry_msgs/msg/PoseStamped, not clad_interfaces/msg/ExecutedAction"
    assert spoilt(check(tmp_path, other)) == {words: set(USES)}
    (tmp_path / "x").mkdir()
    found = check(tmp_path / "x", stream(), metadata={"contract": "so101", "contract_hash": "0" * 64})
    assert good(found) == ["report"] and any(text.startswith("shows robot so101 (0000") for text in spoilt(found))


def test_a_failure_trains_dynamics_and_a_cut_recording_is_told(tmp_path):
    failed = check(tmp_path, stream(outcome=TIMEOUT))
    assert failed.good_for("training") and failed.imitable == 0
    assert any("ended as timeout: it shows how the world moves" in str(f) for f in failed.findings)
    (tmp_path / "x").mkdir()
    path = write_bag(tmp_path / "x" / "bag", stream(outcome=RUNNING))
    file = next(path.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:-700])
    found = check_bag(path, CONTRACT)
    assert not found.whole and found.good_for("training") and found.imitable == 0
    words = [str(f) for f in found.findings]
    assert "was cut off: its last file has no end; what is whole is read" in words
    assert "/episode says no outcome of episode 1" in words


def test_what_a_person_says_fills_in_for_episode(tmp_path):
    silent = [item for item in stream() if item[0] != "/episode"]
    found = check(tmp_path, moved(silent, 1, ("/executed_action",)), Told(instruction="stack", outcome="success"))
    assert found.good_for("training") and not found.good_for("report") and found.imitable == 8


def test_the_command_exits_by_what_it_is_asked_for(tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", changed(stream(), "/ee_pose", lambda m: None))
    report = tmp_path / "check.json"
    assert main(["bag", "check", str(bag), "--json", str(report)]) == 1
    captured = capsys.readouterr()
    assert "training  no: /ee_pose is missing" in captured.out and "report    yes" in captured.out
    assert "1 of 1 bags are not good for training" in captured.err
    (body,) = json.loads(report.read_text())["bags"]
    assert body["good_for"] == {"report": True, "replay": False, "training": False}
    assert {f["topic"] for f in body["findings"]} >= {"/ee_pose"} and body["path"] == str(bag)
    assert main(["bag", "check", str(bag), "--for", "report"]) == 0
    with pytest.raises(CladError, match="no bag"):
        check_bag(tmp_path, CONTRACT)
