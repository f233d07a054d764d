"""Recordings in the layout of `ros2 bag record`, made of the messages of one of ours.

After rosbag2_storage_mcap's mcap_storage.cpp: profile ros2, library libmcap, no chunk CRCs, schemas and channels numbered anew
in every file in the order of a hash map, no metadata record of ours, metadata.yaml of version 9 naming all files. Before
Jazzy there was one stamp only: publish_time equals log_time.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from mcap.writer import CompressionType, Writer

from clad.bag.reader import read_raw

QOS = {
    "history": "unknown", "depth": 0, "reliability": "reliable", "durability": "volatile",
    "deadline": {"sec": 9223372036, "nsec": 854775807}, "lifespan": {"sec": 9223372036, "nsec": 854775807},
    "liveliness": "automatic", "liveliness_lease_duration": {"sec": 9223372036, "nsec": 854775807},
    "avoid_ros_namespace_conventions": False,
}  # fmt: skip


def write_native_bag(source: Path, target: Path, *, files: int = 2, old: bool = False, schemas=None) -> Path:
    """`source` as `ros2 bag record --max-bag-duration` would have recorded it. schemas: name -> (encoding, text) instead."""
    messages = list(read_raw(source))
    target.mkdir()
    size = -(-len(messages) // files)
    told = []
    for number in range(files):
        part = messages[number * size : (number + 1) * size]
        name = f"{target.name}_{number}.mcap"
        with (target / name).open("wb") as stream:
            writer = Writer(
                stream, compression=CompressionType.ZSTD if number % 2 else CompressionType.NONE, enable_crcs=False
            )
            writer.start(profile="ros2", library="libmcap 1.3.0")
            channels = _channels(writer, messages, reverse=bool(number % 2), schemas=schemas or {})
            for _, channel, message in part:
                published = message.log_time if old else message.publish_time
                writer.add_message(channels[channel.topic], message.log_time, message.data, published, 0)
            writer.finish()
        times = [message.log_time for _, _, message in part]
        told.append({"path": name, **_span(times)})
    topics = {channel.topic: schema.name for schema, channel, _ in messages}
    counts = {topic: sum(channel.topic == topic for _, channel, _ in messages) for topic in topics}
    information = {
        "version": 9,
        "storage_identifier": "mcap",
        **_span([message.log_time for _, _, message in messages]),
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": topic, "type": kind, "serialization_format": "cdr", "offered_qos_profiles": [QOS],
                    "type_description_hash": "RIHS01_" + "0" * 64,
                },
                "message_count": counts[topic],
            }
            for topic, kind in topics.items()
        ],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file["path"] for file in told],
        "files": told,
        "custom_data": None,
        "ros_distro": "jazzy",
    }  # fmt: skip
    (target / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False))
    return target


def _channels(writer: Writer, messages, *, reverse: bool, schemas: dict) -> dict[str, int]:
    """Topic -> channel; every file has all topics, whether or not they have messages in it."""
    known, channels = {}, {}
    topics = {channel.topic: schema for schema, channel, _ in messages}
    for topic in sorted(topics, reverse=reverse):
        schema = topics[topic]
        if schema.name not in known:
            encoding, text = schemas.get(schema.name, ("ros2msg", schema.data.decode()))
            known[schema.name] = writer.register_schema(schema.name, encoding, text.encode())
        about = {"offered_qos_profiles": yaml.safe_dump([QOS]), "topic_type_hash": "RIHS01_" + "0" * 64}
        channels[topic] = writer.register_channel(topic, "cdr", known[schema.name], about)
    return channels


def _span(times: list[int]) -> dict:
    return {
        "starting_time": {"nanoseconds_since_epoch": min(times)},
        "duration": {"nanoseconds": max(times) - min(times)},
        "message_count": len(times),
    }
