"""Bags as figures: whole, cut off anywhere, without a topic, with another's topic, of a long session, of another recorder."""

import io
import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.records import Chunk
from mcap.stream_reader import StreamReader
from mcap.writer import CompressionType
from mcap_ros2.decoder import DecoderFactory
from rosbags.rosbag2 import Reader
from tiny_session import MS, PERIOD, RUNNING, WALL, as_object, feed, session, write_bag

from clad.bag.live import as_told
from clad.bag.metrics import TOPICS, EpisodeMeter
from clad.bag.reader import is_whole, message_counts, read_messages
from clad.bag.recording import find_bags, read_recording
from clad.contract import load_contract
from clad.errors import CladError

CONTRACT = load_contract("libero")
EXPECTED = asdict(feed(EpisodeMeter(CONTRACT, 1), session()).figures())


def plain(recording):
    return [asdict(episode.figures) for episode in recording.episodes]


def test_the_figures_of_a_bag_are_those_of_its_messages(tmp_path):
    found = read_recording(write_bag(tmp_path / "bag", session()))
    assert (plain(found), found.problems, found.whole) == ([EXPECTED], [], True)
    assert found.metadata["contract"] == "libero"


def test_independent_readers_count_and_read_the_same(tmp_path):
    bag = write_bag(tmp_path / "bag", session())
    ours = [(m.topic, m.published, m.received) for m in read_messages(bag, TOPICS)]
    with (bag / "bag_0.mcap").open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        theirs = list(reader.iter_decoded_messages(log_time_order=False))
    assert ours == [(channel.topic, message.publish_time, message.log_time) for _, channel, message, _ in theirs]
    meter = EpisodeMeter(CONTRACT, 1)
    for _, channel, message, decoded in theirs:
        meter.feed(channel.topic, message.publish_time, decoded)
    assert asdict(meter.figures()) == EXPECTED == plain(read_recording(bag))[0]
    counts = {}
    for topic, *_ in ours:
        counts[topic] = counts.get(topic, 0) + 1
    assert message_counts(bag) == counts


def test_rosbags_reads_the_same(tmp_path):
    """It wants the metadata.yaml that only clad_recorder and rosbag2 write, so it gets the one of clad_recorder's kind."""
    bag = write_bag(tmp_path / "bag", session())
    counts, kinds = message_counts(bag), {m.topic: m.type for m in read_messages(bag)}
    count = sum(counts.values())
    topics = [
        {
            "topic_metadata": {
                "name": topic, "type": kinds[topic], "serialization_format": "cdr", "offered_qos_profiles": [],
                "type_description_hash": "",
            },
            "message_count": counts[topic],
        }
        for topic in counts
    ]  # fmt: skip
    span = {
        "starting_time": {"nanoseconds_since_epoch": WALL},
        "duration": {"nanoseconds": 10**9},
        "message_count": count,
    }
    body = {"version": 9, "storage_identifier": "mcap", **span, "topics_with_message_count": topics}
    body |= {"compression_format": "", "compression_mode": "", "relative_file_paths": ["bag_0.mcap"], "files": []}
    body |= {"custom_data": {}, "ros_distro": "jazzy"}
    (bag / "metadata.yaml").write_text(json.dumps({"rosbag2_bagfile_information": body}))
    with Reader(bag) as reader:
        theirs = sum(1 for _ in reader.messages())
    assert theirs == count == sum(1 for _ in read_messages(bag))


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """`cut(n)`: a bag of two episodes whose file ends after n bytes; `cut.size` is the whole."""
    folder = tmp_path_factory.mktemp("cut")
    stream = [*session(), *session(episode=2, start=60_000 * MS, wall=WALL + 10**10, steps=6)]
    content = (write_bag(folder / "whole", stream) / "whole_0.mcap").read_bytes()
    broken = folder / "broken"
    broken.mkdir()

    def make(n):
        (broken / "broken_0.mcap").write_bytes(content[:n])
        return broken

    make.size = len(content)
    return make


@given(data=st.data())
@settings(max_examples=80)
def test_a_bag_cut_anywhere_is_reported_up_to_the_cut(cut, data):
    """Every byte may be the last: what is whole counts, what is not is said, nothing raises."""
    bag = cut(data.draw(st.integers(0, cut.size - 1)))
    found = read_recording(bag)
    assert not found.whole
    assert found.problems[0].startswith("cut off: the recording breaks off")
    seen = list(read_messages(bag, TOPICS))
    assert ("before its first message" in found.problems[0]) == (not seen)
    json.dumps(plain(found), allow_nan=False)
    steps = {1: 0, 2: 0}
    for item in seen:
        if item.topic == "/executed_action":
            steps[item.message.episode] += 1
    for episode in plain(found):
        assert episode["steps"] == steps[episode["episode"]]
    assert sum(steps.values()) == sum(episode["steps"] for episode in plain(found))
    if steps[2]:
        assert plain(found)[0] == EXPECTED  # an episode that was over before the cut lost nothing


def test_what_a_cut_says(cut):
    problems = read_recording(cut(cut.size * 2 // 3)).problems
    assert problems[0].startswith("cut off: the recording breaks off at 2023-11-14 22:13:")
    assert problems[0].endswith("s; figures are up to there")
    assert read_recording(cut(cut.size // 3)).episodes[0].figures.outcome == "cut off"


def test_a_file_of_its_first_bytes_alone_is_not_whole(cut):
    """They are the same as its last."""
    assert not is_whole(cut(8))


def test_damage_in_the_middle_is_noticed(tmp_path):
    """The end is there, so the file looks whole."""
    bag = write_bag(tmp_path / "bag", session(), compression=CompressionType.NONE)  # only a checksum can tell
    file = bag / "bag_0.mcap"
    content = bytearray(file.read_bytes())
    chunks = [r for r in StreamReader(io.BytesIO(content), emit_chunks=True).records if isinstance(r, Chunk)]
    third = chunks[len(chunks) // 3].data
    content[content.find(third) + len(third) - 1] ^= 0xFF  # of a message's last value
    file.write_bytes(content)
    found = read_recording(bag)
    assert found.whole
    assert any("messages can be read; the file is damaged" in problem for problem in found.problems)


@pytest.mark.parametrize("topic", TOPICS)
def test_without_a_topic_the_other_figures_remain(tmp_path, topic):
    found = read_recording(write_bag(tmp_path / "bag", [m for m in session(mode="free-run") if m[0] != topic]))
    [problem] = found.problems
    assert problem.startswith(f"no {topic}: ")
    [episode] = plain(found)
    there = {
        "/episode": episode["outcome"] is not None,
        "/executed_action": episode["observation_age"] is not None,
        "/latent_foresight": episode["foresight"] is not None,
        "/action_chunk": bool(episode["latency"]),
        "/joint_states": "to_planner" in episode["latency"],
    }
    assert not there[topic]
    for other, wanted in (
        ("/episode", {"/action_chunk", "/joint_states"}),
        ("/joint_states", {"/episode", "/action_chunk"}),
    ):
        if topic == other:
            assert all(there[name] for name in wanted)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_of_another_type_is_named(tmp_path, topic):
    """As when somebody else's node uses the name."""
    text = ("std_msgs/msg/String", {"data": "hello"})
    stream = [(t, *(text[:1] if t == topic else (k,)), p, text[1] if t == topic else m) for t, k, p, m in session()]
    found = read_recording(write_bag(tmp_path / "bag", stream))
    assert any(problem.startswith(f"{topic} is std_msgs/String, not ") for problem in found.problems)
    assert len(found.problems) == 1 and len(found.episodes) == 1


def test_messages_of_an_older_definition_are_named(tmp_path, monkeypatch):
    """They lack a field: what needs them is missing, and it says so."""
    import tiny_session

    older = tiny_session.definition("clad_interfaces/msg/ActionChunk").replace(
        "uint64 foresight_seq", "uint64 other_seq"
    )
    known = tiny_session.definition
    monkeypatch.setattr(tiny_session, "definition", lambda kind: older if "ActionChunk" in kind else known(kind))
    stream = [
        (t, k, p, {**m, "other_seq": 1} if t == "/action_chunk" else m) for t, k, p, m in session()
    ]  # the writer takes the fields that its definition has
    found = read_recording(write_bag(tmp_path / "bag", stream))
    assert any(
        p.startswith("/action_chunk: 4 messages cannot be read") and "foresight_seq" in p for p in found.problems
    )
    assert plain(found)[0]["steps"] == 8


def test_a_long_session_in_one_bag_is_several_episodes(tmp_path):
    stream = [
        m for i in range(4) for m in session(episode=i + 5, start=i * 10**10, wall=WALL + i * 10**10, steps=4 + i)
    ]
    found = read_recording(write_bag(tmp_path / "bag", stream))
    assert [(e["episode"], e["steps"], e["outcome"]) for e in plain(found)] == [
        (5 + i, 4 + i, "success") for i in range(4)
    ]
    assert not found.problems


def test_a_recording_in_several_files(tmp_path):
    """rosbag2 begins a new file after a size or a time."""
    stream = list(session())
    bag = write_bag(tmp_path / "bag", stream[:12])
    other = write_bag(tmp_path / "other", stream[12:])
    (other / "other_0.mcap").rename(bag / "bag_1.mcap")
    (bag / "metadata.yaml").touch()
    assert plain(read_recording(bag)) == [EXPECTED]
    assert find_bags([bag]) == [bag]


def test_anothers_recording_shows_its_robot_by_its_joints(tmp_path):
    found = read_recording(write_bag(tmp_path / "bag", session(), metadata={}))
    assert plain(found) == [EXPECTED]
    assert found.metadata == {}


def test_a_robot_that_nobody_knows(tmp_path):
    unnamed = write_bag(tmp_path / "unnamed", [m for m in session() if m[0] != "/joint_states"], metadata={})
    with pytest.raises(CladError, match="does not say which robot it shows. Give --robot"):
        read_recording(unnamed)
    assert plain(read_recording(unnamed, CONTRACT))[0]["steps"] == 8
    with pytest.raises(CladError, match="shows robot mine.yaml, which is not shipped. Give its --robot FILE"):
        read_recording(write_bag(tmp_path / "own", session(), metadata={"contract": "mine.yaml"}))


def test_another_version_of_the_robot_is_named(tmp_path):
    found = read_recording(
        write_bag(tmp_path / "bag", session(), metadata={"contract": "libero", "contract_hash": "f" * 64})
    )
    assert found.problems == [f"robot libero was another version then (ffffffffffff, now {CONTRACT.hash[:12]})"]


def test_live_figures_in_the_bag_are_held_against_it(tmp_path):
    figures = feed(EpisodeMeter(CONTRACT, 1), session()).figures()

    def told(**changes):
        pairs = [{"key": name, "value": value} for name, value in (as_told(figures) | changes).items()]
        message = {
            "header": {"stamp": {"sec": 5, "nanosec": 0}, "frame_id": ""}, "episode": 1, "outcome": "success",
            "foresight_cosine": 0.0, "persistence_cosine": 0.0, "observation_age": 0.0, "hold_time": 0.0, "figures": pairs,
        }  # fmt: skip
        return ("/episode_figures", "clad_interfaces/msg/EpisodeFigures", WALL + 10**9, message)

    same = read_recording(write_bag(tmp_path / "same", [*session(), told()]))
    assert (same.episodes[0].differs, same.problems) == ([], [])
    other = read_recording(write_bag(tmp_path / "other", [*session(), told(held_s="0.5", steps="9")]))
    assert other.episodes[0].differs == ["steps", "held_s"]
    assert other.problems == ["episode 1: told otherwise while it ran: steps, held_s"]
    assert read_recording(write_bag(tmp_path / "none", session())).episodes[0].differs is None


def test_finding_bags(tmp_path):
    one = write_bag(tmp_path / "run" / "bags" / "one", session(steps=1))
    two = write_bag(tmp_path / "run" / "bags" / "two", session(steps=1))
    write_bag(tmp_path / "run" / "bags" / ".recovering-two" / "two", session(steps=1))
    assert find_bags([tmp_path / "run", one]) == [one, two]
    assert find_bags([one / "one_0.mcap"]) == [one / "one_0.mcap"]
    with pytest.raises(CladError, match="does not exist"):
        find_bags([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CladError, match="no .mcap file"):
        find_bags([tmp_path / "empty"])


def test_an_episode_under_way_is_reported_as_it_stands(tmp_path):
    """`ros2 bag record` was ended by hand in mid-episode: the bag is whole and its episode is not."""
    found = read_recording(write_bag(tmp_path / "bag", session(outcome=RUNNING)))
    assert found.whole and not found.problems
    assert plain(found)[0]["outcome"] == "cut off"


def test_a_bag_without_an_episode_says_so(tmp_path):
    joints = [m for m in session() if m[0] == "/joint_states"]
    found = read_recording(write_bag(tmp_path / "bag", joints))
    assert found.problems[-1] == "no episode is in it"


def test_published_counts_and_not_received(tmp_path):
    """A recorder that is late by a second changes nothing."""
    bag = write_bag(tmp_path / "bag", session())
    stamps = [item.received - item.published for item in read_messages(bag)]
    assert set(stamps) == {2 * MS}
    assert plain(read_recording(bag))[0]["latency"]["total"]["p50_ms"] == 23.0
    assert as_object({"a": PERIOD}).a == PERIOD
