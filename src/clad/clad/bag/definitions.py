"""How a bag's messages are decoded: by the definitions that it has with it, as .msg text or as IDL."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from mcap.records import Channel, Schema
from mcap.well_known import MessageEncoding, SchemaEncoding
from mcap_ros2.decoder import DecoderFactory

IDL = "ros2idl"  # rosbag2's, for types whose package has no .msg file
_RULE = "=" * 80 + "\n"
_UNPARSED = (
    re.compile(  # by rosbags: includes, whose text comes along as a part of its own, and comments as annotations
        r'^#include.*$|@verbatim\s*\(language="comment", text=\s*(?:"(?:[^"\\]|\\.)*"\s*)+\)', re.MULTILINE
    )
)


class Decoders:
    """Finds a topic's decoder, each definition understood once.

    By what a definition says and not by its number: a bag in several files numbers them anew in each.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, bytes], Callable[[bytes], Any] | None] = {}

    def of(self, schema: Schema, channel: Channel) -> Callable[[bytes], Any] | None:
        """None for what is not ROS 2 CDR, or came without a definition that can be understood."""
        if channel.message_encoding != MessageEncoding.CDR:
            return None
        key = (schema.name, schema.data)
        if key not in self._found:
            self._found[key] = _decoder(schema)
        return self._found[key]


def _decoder(schema: Schema) -> Callable[[bytes], Any] | None:
    try:
        return DecoderFactory().decoder_for(
            MessageEncoding.CDR, _from_idl(schema) if schema.encoding == IDL else schema
        )
    except Exception:  # text of anyone's; the parsers say what they stumble over in many ways
        return None


def _from_idl(schema: Schema) -> Schema:
    """The same definition as .msg text, with all that it nests."""
    from rosbags.typesys import Stores, get_types_from_idl, get_typestore

    store, text = get_typestore(Stores.EMPTY), schema.data.decode()
    parts = [part.split("\n", 1)[1] for part in text.split(_RULE)[1:]] if text.startswith(_RULE) else [text]
    for part in parts:
        store.register(get_types_from_idl(_UNPARSED.sub("", part)))
    definition, _ = store.generate_msgdef(schema.name, ros_version=2)
    return dataclasses.replace(schema, encoding=SchemaEncoding.ROS2, data=definition.encode())
