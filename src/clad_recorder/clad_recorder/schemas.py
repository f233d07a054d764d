"""Message definitions for a bag: the text with everything it nests, and the type's hash, from the installed packages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from clad.errors import CladError


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSchema:
    """name: e.g. sensor_msgs/msg/Image. text: ros2msg definition with its dependencies. hash: RIHS01 type hash."""

    name: str
    text: str
    hash: str


@cache
def message_schema(name: str) -> MessageSchema:
    """The schema of a message type. Raises CladError when its package is not installed or is no message package."""
    store = _store()
    _register(name)
    text, _ = store.generate_msgdef(name, ros_version=2)
    return MessageSchema(name=name, text=text, hash=store.hash_rihs01(name))


@cache
def _store():
    return get_typestore(Stores.ROS2_JAZZY)


def _register(name: str) -> None:
    """Make a type and all the types in its fields known to the store."""
    store = _store()
    if name in store.fielddefs:
        return
    package, _, short = name.split("/")
    try:
        file = Path(get_package_share_directory(package)) / "msg" / f"{short}.msg"
        types = get_types_from_msg(file.read_text(), name)
    except (PackageNotFoundError, OSError) as error:
        raise CladError(
            f"no definition of message type {name} is installed", f"Install and source {package}"
        ) from error
    for _, fields in types.values():
        for _, field in fields:
            for nested in _named_types(field):
                if nested != name:
                    _register(nested)
    store.register(types)


def _named_types(field) -> list[str]:
    """Type names in rosbags' description of a field: (Nodetype, (what, ...)), nested for arrays and sequences."""
    kind, what = field
    if kind.name == "NAME":
        return [what]
    return _named_types(what[0]) if kind.name in ("ARRAY", "SEQUENCE") else []
