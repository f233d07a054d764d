"""A rosbag2 directory in MCAP that survives a kill. `clad.bag.reader` reads it, whatever became of its writer.

Why not rosbags' or rosbag2's own writer: both keep messages in memory until a chunk is full and write the metadata at the
end, so a kill loses a chunk and all metadata. Here everything goes to the file every FLUSH_PERIOD, metadata first.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from mcap.writer import CompressionType, Writer

from clad.bag.reader import METADATA_RECORD, read_messages, read_metadata, read_raw
from clad.errors import CladError

SIDE_FILE = "recording.json"
FLUSH_PERIOD = 0.05  # s: a kill loses at most what came in during this time, and a full disk is noticed as soon


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a bag knows of a topic. qos: offered QoS profiles as rosbag2 writes them (YAML text of a list)."""

    name: str
    type: str
    schema: str
    type_hash: str
    qos: str


class BagWriter:
    """Creates the directory `path` and writes into it until `close`. Not thread-safe: one thread owns it.

    Raises CladError when `path` exists.
    """

    def __init__(self, path: Path, metadata: Mapping[str, str]) -> None:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise CladError(f"{path} exists already", "A bag is never overwritten; choose another name") from None
        self.path = path
        self._metadata = dict(metadata)
        self._stream = _mcap_file(path).open("xb")
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(self._stream, fcntl.LOCK_EX)  # ends with this process, however it ends: see `recover`
        self._writer = Writer(self._stream, compression=CompressionType.ZSTD)
        self._writer.start(profile="ros2", library="clad_recorder")
        self._writer.add_metadata(METADATA_RECORD, self._metadata)
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, tuple[int, Topic]] = {}
        self._counts: dict[str, int] = {}
        self._first = self._last = 0
        self._write_side_file("recording")
        self.flush()

    @property
    def messages(self) -> int:
        """Messages written so far."""
        return sum(self._counts.values())

    def add_topic(self, topic: Topic) -> None:
        """Make a topic known; harmless when it is."""
        if topic.name in self._channels:
            return
        if topic.type not in self._schemas:
            self._schemas[topic.type] = self._writer.register_schema(topic.type, "ros2msg", topic.schema.encode())
        channel = self._writer.register_channel(
            topic.name,
            "cdr",
            self._schemas[topic.type],
            {"offered_qos_profiles": topic.qos, "topic_type_hash": topic.type_hash},
        )
        self._channels[topic.name] = (channel, topic)
        self._counts[topic.name] = 0

    def write(self, topic: str, received: int, published: int, data: bytes) -> None:
        """One serialised message of a topic that was added; stamps as in BagMessage."""
        channel, _ = self._channels[topic]
        self._counts[topic] += 1
        self._writer.add_message(channel, received, data, published, self._counts[topic])
        self._first = min(self._first or received, received)
        self._last = max(self._last, received)
        if time.monotonic() >= self._flush_due:
            self.flush()

    def flush(self) -> None:
        """Hand everything so far to the operating system."""
        self._writer.flush()
        self._flush_due = time.monotonic() + FLUSH_PERIOD

    def close(self) -> None:
        """Write index and metadata.yaml; from now on every rosbag2 reader opens the bag."""
        information = self._information()
        self._writer.add_metadata("rosbag2", {"serialized_metadata": yaml.safe_dump(information, sort_keys=False)})
        self._writer.finish()
        self._stream.close()
        _replace(
            self.path / "metadata.yaml", yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False)
        )
        self._write_side_file("complete")

    def abandon(self) -> None:
        """Close the file as it is, after a write that failed; `recover` makes a bag of what is whole in it."""
        with contextlib.suppress(OSError):  # what the disk refused is refused again
            self._stream.close()

    def _information(self) -> dict:
        span = {
            "starting_time": {"nanoseconds_since_epoch": self._first},
            "duration": {"nanoseconds": self._last - self._first},
            "message_count": self.messages,
        }
        topics = [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.type,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": yaml.safe_load(topic.qos),
                    "type_description_hash": topic.type_hash,
                },
                "message_count": self._counts[topic.name],
            }
            for _, topic in self._channels.values()
        ]
        file = _mcap_file(self.path).name
        return {
            "version": 9,
            "storage_identifier": "mcap",
            **span,
            "topics_with_message_count": topics,
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [file],
            "files": [{"path": file, **span}],
            "custom_data": self._metadata,
            "ros_distro": "jazzy",
        }

    def _write_side_file(self, state: str) -> None:
        body = {"state": state, "messages": self.messages, "metadata": self._metadata}
        _replace(self.path / SIDE_FILE, json.dumps(body, indent=1) + "\n")


def is_complete(path: Path) -> bool:
    """Whether the bag was closed properly."""
    return (path / "metadata.yaml").is_file()


def recover(path: Path) -> int:
    """Close a bag whose writer was killed, in place; returns the messages in it. A complete bag is left as it is.

    The whole messages are copied into a new file, which replaces the old one only when it is complete. Raises CladError
    for a bag that is still being written.
    """
    if is_complete(path):
        return sum(1 for _ in read_messages(path))
    if _is_being_written(path):
        raise CladError(f"{path} is still being written", "End its recorder first")
    temporary = path.with_name(f".recovering-{path.name}") / path.name
    shutil.rmtree(temporary.parent, ignore_errors=True)  # of a recovery that was killed too
    writer = BagWriter(temporary, read_metadata(path))
    for schema, channel, message in read_raw(path):
        writer.add_topic(
            Topic(
                name=channel.topic,
                type=schema.name,
                schema=schema.data.decode(),
                type_hash=channel.metadata["topic_type_hash"],
                qos=channel.metadata["offered_qos_profiles"],
            )
        )
        writer.write(channel.topic, message.log_time, message.publish_time, message.data)
    count = writer.messages
    writer.close()
    for name in (_mcap_file(path).name, SIDE_FILE, "metadata.yaml"):  # the last one makes the bag complete
        os.replace(temporary / name, path / name)
    shutil.rmtree(temporary.parent)
    return count


def _is_being_written(path: Path) -> bool:
    try:
        with _mcap_file(path).open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no file: reading it will say so
        pass
    return False


def _mcap_file(path: Path) -> Path:
    """rosbag2's name for a bag's first file."""
    return path / f"{path.name}_0.mcap"


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    os.replace(temporary, path)
