"""Bags: complete ones are read by two other libraries; killed ones keep everything that was flushed, metadata included."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from clad.errors import CladError
from clad_interfaces.msg import ActionChunk
from clad_recorder.bag import (
    SIDE_FILE,
    BagWriter,
    Topic,
    is_complete,
    read_messages,
    read_metadata,
    recover,
)
from clad_recorder.schemas import message_schema

QOS = (
    "- {history: keep_last, depth: 5, reliability: reliable, durability: volatile, deadline: {sec: 9, nsec: 0}, "
    "lifespan: {sec: 9, nsec: 0}, liveliness: automatic, liveliness_lease_duration: {sec: 9, nsec: 0}, "
    "avoid_ros_namespace_conventions: false}\n"
)
METADATA = {"model_sha256": "ab" * 32, "task": "5", "seed": "0"}


def chunk_topic(name: str = "/action_chunk") -> Topic:
    schema = message_schema("clad_interfaces/msg/ActionChunk")
    return Topic(name=name, type=schema.name, schema=schema.text, type_hash=schema.hash, qos=QOS)


def chunk(seq: int) -> bytes:
    return serialize_message(ActionChunk(seq=seq, names=["dx"], values=[0.5 * seq], steps=1))


def write(path: Path, count: int) -> BagWriter:
    writer = BagWriter(path, METADATA)
    writer.add_topic(chunk_topic())
    for seq in range(count):
        writer.write("/action_chunk", 1000 + seq, 900 + seq, chunk(seq))
    return writer


def assert_whole(path: Path, count: int) -> None:
    """What we read ourselves, and what two libraries that know nothing of us read."""
    ours = list(read_messages(path))
    assert [deserialize_message(m.data, ActionChunk).seq for m in ours] == list(range(count))
    assert [(m.topic, m.received, m.published) for m in ours] == [
        ("/action_chunk", 1000 + i, 900 + i) for i in range(count)
    ]
    assert read_metadata(path) == METADATA
    (file,) = path.glob("*.mcap")
    with file.open("rb") as stream:
        decoded = make_reader(stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages()
        assert [message.seq for _, _, _, message in decoded] == list(range(count))
    store = get_typestore(Stores.ROS2_JAZZY)
    with Reader(path) as reader:
        (connection,) = reader.connections
        store.register(get_types_from_msg(connection.msgdef.data.split("=" * 80)[0], connection.msgtype))
        decoded = [store.deserialize_cdr(raw, connection.msgtype) for _, _, raw in reader.messages()]
        assert [m.seq for m in decoded] == list(range(count)) and decoded[-1].values[0] == 0.5 * (count - 1)
        assert reader.message_count == count
        assert connection.ext.offered_qos_profiles[0].depth == 5
        assert connection.digest.startswith("RIHS01_")
    information = yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["custom_data"] == METADATA


def test_a_closed_bag_is_read_by_everybody(tmp_path):
    write(tmp_path / "bag", 50).close()
    assert is_complete(tmp_path / "bag")
    assert_whole(tmp_path / "bag", 50)
    side = json.loads((tmp_path / "bag" / SIDE_FILE).read_text())
    assert side == {"state": "complete", "messages": 50, "metadata": METADATA}


def test_an_existing_directory_is_never_overwritten(tmp_path):
    write(tmp_path / "bag", 1).close()
    with pytest.raises(CladError, match="exists already"):
        BagWriter(tmp_path / "bag", {})


def test_a_killed_writer_leaves_a_readable_bag_with_its_metadata(tmp_path):
    """kill -9 of a process that writes on and on; everything it had flushed when it said so is there."""
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "import test_bag\n"
        "writer = test_bag.write(Path(sys.argv[2]), 300); writer.flush(); print('flushed', flush=True)\n"
        "for seq in range(300, 10**9):\n"
        "    writer.write('/action_chunk', 1000 + seq, 900 + seq, test_bag.chunk(seq)); time.sleep(1e-4)\n"
    )
    path = tmp_path / "bag"
    arguments = [sys.executable, "-c", script, str(Path(__file__).parent), str(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "flushed\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not is_complete(path)
    assert json.loads((path / SIDE_FILE).read_text()) == {"state": "recording", "messages": 0, "metadata": METADATA}
    count = sum(1 for _ in read_messages(path))
    assert count >= 300 and read_metadata(path) == METADATA
    assert recover(path) == count
    assert is_complete(path)
    assert_whole(path, count)
    assert [p.name for p in tmp_path.iterdir()] == ["bag"]  # nothing of the repair is left


def test_a_bag_that_is_being_written_is_not_touched(tmp_path):
    writer = write(tmp_path / "bag", 3)
    writer.flush()
    with pytest.raises(CladError, match="still being written"):
        recover(tmp_path / "bag")
    writer.close()
    assert_whole(tmp_path / "bag", 3)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_breaks_off_anywhere_gives_what_is_whole(tmp_path, part):
    path = tmp_path / "bag"
    writer = write(path, 20)
    writer.flush()
    (file,) = path.glob("*.mcap")
    whole = file.stat().st_size
    for seq in range(20, 40):
        writer.write("/action_chunk", 1000 + seq, 900 + seq, chunk(seq))
    writer.flush()
    writer._stream.close()  # as the end of its process would
    data = file.read_bytes()
    file.write_bytes(data[: whole + int(part * (len(data) - whole))])
    count = sum(1 for _ in read_messages(path))
    assert 20 <= count <= 40
    assert recover(path) == count
    assert_whole(path, count)


def test_what_is_no_bag_is_said_to_be_none(tmp_path):
    with pytest.raises(CladError, match="is no bag"):
        list(read_messages(tmp_path / "nothing"))
    with pytest.raises(CladError, match="is no bag"):
        read_metadata(tmp_path / "nothing")


@pytest.mark.parametrize(
    "name",
    ["LatentForesight", "ActionChunk", "ExecutedAction", "EpisodeStatus"],
)
def test_every_interface_has_a_schema_with_all_that_it_nests(name):
    schema = message_schema(f"clad_interfaces/msg/{name}")
    assert "MSG: std_msgs/Header" in schema.text and schema.hash.startswith("RIHS01_")


def test_a_type_that_is_not_installed_is_named():
    with pytest.raises(CladError, match="no_such_msgs/msg/Thing"):
        message_schema("no_such_msgs/msg/Thing")
