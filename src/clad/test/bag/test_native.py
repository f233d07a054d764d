"""Recordings in `ros2 bag record`'s layout, several files included, are read, checked, reported and trained on as ours."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from native_bag import write_native_bag
from rosbags.rosbag2 import Reader
from tiny_bag import CONTRACT, data, messages, write_bag

from clad.bag.check import check_bag
from clad.bag.reader import bag_files, read_messages, read_metadata
from clad.bag.recording import read_recording
from clad.cli.main import main
from clad.data.rosbag import read_episode
from clad.data.sources import find_sources
from clad.errors import CladError

ACTION = "clad_interfaces/msg/ExecutedAction"
RULE = "=" * 80 + "\n"
# as rosidl_adapter makes them of the .msg files, comments and constants included
IDL = {
    ACTION: """// generated from rosidl_adapter/resource/msg.idl.em
#include "std_msgs/msg/Header.idl"

module clad_interfaces {
  module msg {
    module ExecutedAction_Constants {
      const uint8 SOURCE_CHUNK = 1;
      @verbatim (language="comment", text=
        "no valid chunk: the robot holds")
      const uint8 SOURCE_HOLD = 2;
      const uint8 SOURCE_SERVICE = 3;
    };
    @verbatim (language="comment", text=
      "One action that the driver has taken: \\"executed\\"," "\\n"
      "in two lines.")
    struct ExecutedAction {
      std_msgs::msg::Header header;
      uint64 episode;
      uint32 step;
      sequence<string> names;
      @verbatim (language="comment", text=
        "native driver units, in [-1, 1]")
      sequence<double> values;
      uint64 chunk_seq;
      uint8 source;
      string reason;
    };
  };
};
""",
    "std_msgs/msg/Header": """#include "builtin_interfaces/msg/Time.idl"

module std_msgs {
  module msg {
    struct Header {
      builtin_interfaces::msg::Time stamp;
      string frame_id;
    };
  };
};
""",
    "builtin_interfaces/msg/Time": """module builtin_interfaces {
  module msg {
    struct Time {
      int32 sec;
      uint32 nanosec;
    };
  };
};
""",
}


@pytest.fixture
def ours(tmp_path) -> Path:
    return write_bag(tmp_path / "ours", messages(data(size=128)))


@pytest.mark.parametrize(("files", "old"), [(1, False), (3, False), (3, True)])
def test_a_native_recording_gives_the_episode_and_the_figures_that_ours_gives(ours, tmp_path, files, old, capsys):
    native = write_native_bag(ours, tmp_path / "native", files=files, old=old)
    assert len(bag_files(native)) == files and read_metadata(native) == {}
    a, b = (read_episode(path, "episode_0", CONTRACT) for path in (ours, native))
    for name in ("executed", "joint_position", "joint_velocity", "gripper_position", "ee_position", "image_valid"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert all(np.array_equal(a.images[camera], b.images[camera]) for camera in CONTRACT.cameras)
    (mine,), (theirs,) = (read_recording(path, CONTRACT).episodes for path in (ours, native))
    assert mine.figures == theirs.figures and theirs.figures.success
    found = check_bag(native, CONTRACT)
    assert found.good_for("report") and found.good_for("training") and found.recorder == "another recorder"
    assert main(["bag", "to-lerobot", str(native), "--out", str(tmp_path / "lr")]) == 0
    (source,) = find_sources(tmp_path / "lr")
    assert np.array_equal(source.read(CONTRACT).executed, data(size=128).actions)
    assert main(["bag", "report", str(native), "--out", str(tmp_path / "report")]) == 0
    assert "success" in capsys.readouterr().out


def test_independent_readers_agree_on_both_layouts(ours, tmp_path):
    """What rosbag2's metadata.yaml says, rosbags and the mcap library, against what we read."""
    native = write_native_bag(ours, tmp_path / "native", files=3)
    counts = Counter(item.topic for item in read_messages(native))
    assert counts == Counter(item.topic for item in read_messages(ours)) and counts["/executed_action"] == 8
    with Reader(native) as reader:
        assert Counter(connection.topic for connection, _, _ in reader.messages()) == counts
        assert reader.message_count == counts.total()
    steps = []
    for file in bag_files(native):
        with file.open("rb") as stream:
            decoded = make_reader(stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages(
                "/executed_action"
            )
            steps += [message.step for _, _, _, message in decoded]
    assert steps == list(range(8))


def test_definitions_in_idl_are_understood(ours, tmp_path):
    text = "".join(f"{RULE}IDL: {name}\n{idl}" for name, idl in IDL.items())
    native = write_native_bag(ours, tmp_path / "native", schemas={ACTION: ("ros2idl", text)})
    assert np.array_equal(read_episode(native, "episode_0", CONTRACT).executed, data(size=128).actions)
    alone = write_native_bag(ours, tmp_path / "alone", schemas={ACTION: ("ros2idl", IDL[ACTION])})
    with pytest.raises(
        CladError, match="/executed_action .* not ROS 2 cdr with its definition"
    ):  # its parts are missing
        read_episode(alone, "episode_0", CONTRACT)


@pytest.mark.parametrize("schema", [("", ""), ("ros2msg", "int32 request\n---\nint32 response")])
def test_a_topic_without_a_usable_definition_spoils_what_needs_it_and_nothing_else(ours, tmp_path, schema):
    """rosbag2 records types whose package is not installed, and service events, all the same."""
    native = write_native_bag(ours, tmp_path / "native", schemas={"geometry_msgs/msg/PoseStamped": schema})
    assert sum(1 for _ in read_messages(native)) == sum(1 for _ in read_messages(ours))
    (episode,) = read_recording(native, CONTRACT).episodes  # needs no pose
    assert episode.figures.steps == 8
    with pytest.raises(CladError, match="/ee_pose .* not ROS 2 cdr with its definition"):
        read_episode(native, "episode_0", CONTRACT)
    with pytest.raises(CladError, match="cannot be decoded: its definition is not there"):
        next(item for item in read_messages(native) if item.topic == "/ee_pose").message
    found = check_bag(native, CONTRACT)
    (wrong,) = [finding for finding in found.findings if "training" in finding.spoils]
    assert str(wrong) == "/ee_pose came without a definition that can be understood (9 of 9 messages)"
    assert found.good_for("report") and found.steps == 8


@pytest.mark.parametrize("name", ["x_0.db3", "x_0.mcap.zstd"])
def test_other_storages_are_named_with_the_way_out(tmp_path, name):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / name).write_bytes(b"")
    with pytest.raises(CladError, match="is no plain MCAP bag. Make it one: ros2 bag convert"):
        check_bag(tmp_path / "x", CONTRACT)
