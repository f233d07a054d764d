"""Messages out of rosbag2 MCAP bags, ours or those of `ros2 bag record`. Needs no ROS: a bag has its definitions with it.

By streaming, which needs no index and holds one message at a time; of a bag whose writer was killed, all that is whole.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import zstandard
from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Channel, Footer, McapRecord, Message, Metadata, Schema
from mcap.stream_reader import CRCValidationError, StreamReader

from clad.bag.definitions import Decoders
from clad.errors import CladError

METADATA_RECORD = "clad"  # the MCAP metadata record with what a recording of ours was started with
_DAMAGE = (McapError, CRCValidationError, struct.error, zstandard.ZstdError, ValueError, EOFError)


@dataclass(frozen=True, kw_only=True)
class BagMessage:
    """received, published: ns since the epoch, wall time; published is the middleware's source stamp. data: CDR."""

    topic: str
    type: str
    received: int
    published: int
    data: bytes
    decode: Callable[[bytes], Any] | None

    @cached_property
    def message(self) -> Any:
        """Decoded by the bag's own definition: an object with the message's fields. Raises what its decoder raises.

        CladError where there is none: of all topics of a bag, some may be of no use to anyone without their package.
        """
        if self.decode is None:
            raise CladError(f"{self.topic} ({self.type}) cannot be decoded: its definition is not there", "")
        return self.decode(self.data)


def read_messages(path: Path, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
    """Every message in the order written, of all or of some topics.

    Raises CladError when `path` is no bag, or a topic asked for is not ROS 2 CDR.
    """
    decoders = Decoders()
    for schema, channel, message in read_raw(path):
        if topics is None or channel.topic in topics:
            decode = decoders.of(schema, channel)
            if decode is None and topics is not None:
                raise _foreign(path, schema, channel)
            yield BagMessage(
                topic=channel.topic,
                type=schema.name,
                received=message.log_time,
                published=message.publish_time,
                data=message.data,
                decode=decode,
            )


def _foreign(path: Path, schema: Schema, channel: Channel) -> CladError:
    return CladError(
        f"{path}: {channel.topic} ({schema.name}) is {channel.message_encoding or 'undeclared'} defined in "
        f"{schema.encoding or 'nothing'}, not ROS 2 cdr with its definition",
        "Record with a ROS 2 recorder that has the type's package installed",
    )


def read_raw(path: Path) -> Iterator[tuple[Schema, Channel, Message]]:
    """Messages undecoded, with what the file says of their topics."""
    for file in bag_files(path):
        schemas: dict[int, Schema] = {}
        channels: dict[int, Channel] = {}
        for record in _records(file):
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Message):
                channel = channels[record.channel_id]
                yield schemas[channel.schema_id], channel, record


def read_metadata(path: Path) -> dict[str, str]:
    """The key-value pairs that a recording of ours was started with; empty for anyone else's. Raises as `read_messages`."""
    for record in _records(bag_files(path)[0]):
        if isinstance(record, Metadata) and record.name == METADATA_RECORD:
            return record.metadata
        if isinstance(record, Message):  # ours comes before the first message
            break
    return {}


def is_whole(path: Path) -> bool:
    """Whether the recording was closed: its last file ends as an MCAP file does. False after a kill, or while it runs."""
    with bag_files(path)[-1].open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - len(_MAGIC)))
        return size > len(_MAGIC) and stream.read() == _MAGIC  # a file begins with the same bytes


def message_counts(path: Path) -> dict[str, int]:
    """Topic -> messages, as the recording's own index says; topics of files without an index are not there."""
    counts: dict[str, int] = {}
    for file in bag_files(path):
        with file.open("rb") as stream, suppress(*_DAMAGE):
            summary = make_reader(stream).get_summary()
            if summary is not None and summary.statistics is not None:
                for number, count in summary.statistics.channel_message_counts.items():
                    topic = summary.channels[number].topic
                    counts[topic] = counts.get(topic, 0) + count
    return counts


def bag_files(path: Path) -> list[Path]:
    """A bag's files in order: rosbag2 numbers them `_0`, `_1`, ... Raises CladError when there are none."""
    files = [path] if path.is_file() else sorted(path.glob("*.mcap"), key=lambda file: (len(file.name), file.name))
    if files:
        return files
    if any(path.glob("*.mcap.zstd")) or any(path.glob("*.db3*")):
        raise CladError(
            f"{path} is no plain MCAP bag",
            "Make it one: ros2 bag convert, with storage_id mcap and no file compression",
        )
    raise CladError(f"{path} is no bag: there is no .mcap file in it", "Give a rosbag2 directory in MCAP")


_MAGIC = b"\x89MCAP0\r\n"


def _records(file: Path) -> Iterator[McapRecord]:
    """Up to the footer, or to where the file breaks off."""
    try:
        with file.open("rb") as stream:
            records = iter(StreamReader(stream, validate_crcs=True).records)
            while True:
                try:
                    record = next(records)
                except (StopIteration, *_DAMAGE):
                    return
                if isinstance(record, Footer):
                    return
                yield record
    except OSError as error:
        raise CladError(f"{file} cannot be read: {error.strerror}", "Give a rosbag2 directory in MCAP") from error
