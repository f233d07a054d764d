"""What each topic of a recording looks like against the contract: counts, stamps, gaps, names, numbers, pictures."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clad.bag.reader import BagMessage
from clad.contract import RobotContract
from clad.errors import CladError
from clad.stamps import SECOND

UNDECODABLE = (struct.error, AttributeError, ValueError, TypeError, IndexError, KeyError, OverflowError)
_UNIT = 1e-3  # of a quaternion's length


@dataclass(slots=True, kw_only=True)
class Stream:
    """One topic, fed message by message. type: the one it must have. look: content -> what is wrong with it, in words.

    stamps: of the headers, ns, without repetitions, as they came. wrong: words -> how many messages they are true of.
    """

    topic: str
    type: str
    look: Callable[[Any], Iterator[str]]
    messages: int = 0
    stamps: list[int] = field(default_factory=list)
    other_type: str = ""
    backward: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)

    def feed(self, item: BagMessage) -> None:
        self.messages += 1
        if item.type != self.type:
            self.other_type = item.type
            return
        try:
            message = item.message
            stamp = message.header.stamp.sec * SECOND + message.header.stamp.nanosec
            found = list(self.look(message))
        except CladError:
            stamp, found = None, ["came without a definition that can be understood"]
        except UNDECODABLE as error:
            stamp, found = None, [f"cannot be decoded ({error!r:.80})"]
        for words in found:
            self.wrong[words] = self.wrong.get(words, 0) + 1
        if stamp is not None and stamp not in self._seen:
            self.backward += bool(self.stamps) and stamp < self.stamps[-1]
            self._seen.add(stamp)
            self.stamps.append(stamp)

    def within(self, first: int, last: int) -> np.ndarray:
        """Ascending stamps from `first` to `last`, ns."""
        stamps = np.sort(np.array(self.stamps, dtype=np.int64))
        return stamps[(stamps >= first) & (stamps <= last)]


def joint_problems(contract: RobotContract) -> Callable[[Any], Iterator[str]]:
    """JointState: every joint and finger by name, with position and velocity."""
    wanted = (*contract.joint_names, *contract.gripper_joint_names)

    def look(message) -> Iterator[str]:
        if missing := [name for name in wanted if name not in message.name]:
            yield f"lacks {', '.join(missing)}; it has {', '.join(message.name) or 'no names'}"
        for field_name in ("position", "velocity"):
            values = getattr(message, field_name)
            if len(values) < len(message.name):
                yield f"has {len(values)} values of {field_name} for {len(message.name)} joints"
            elif not np.isfinite(values).all():
                yield f"has a {field_name} that is not a finite number"

    return look


def pose_problems(message) -> Iterator[str]:
    """PoseStamped: finite, and a unit quaternion."""
    p, q = message.pose.position, message.pose.orientation
    quaternion = np.array([q.x, q.y, q.z, q.w])
    if not np.isfinite([p.x, p.y, p.z, *quaternion]).all():
        yield "is not a finite number"
    elif abs(np.linalg.norm(quaternion) - 1.0) > _UNIT:
        yield "has a quaternion that is not of unit length"


def action_problems(contract: RobotContract) -> Callable[[Any], Iterator[str]]:
    """ExecutedAction: the contract's channels, in [-1, 1]."""
    names = contract.action.names

    def look(message) -> Iterator[str]:
        if tuple(message.names) != names or len(message.values) != len(names):
            yield f"holds {len(message.values)} values of {', '.join(message.names)}; {contract.name} has {', '.join(names)}"
        elif not (np.abs(message.values) <= 1.0).all():
            yield "leaves [-1, 1], or is not a number"

    return look


def image_problems(contract: RobotContract) -> Callable[[Any], Iterator[str]]:
    """Image: packed rgb8 of the contract's size."""
    size = contract.image_size

    def look(message) -> Iterator[str]:
        width, height = message.width, message.height
        if (message.encoding, width, height) != ("rgb8", size, size):
            yield f"is {message.encoding} {width}x{height}, the contract wants rgb8 {size}x{size}"
        elif message.step != 3 * width or len(message.data) != 3 * width * height:
            yield f"has {len(message.data)} bytes in rows of {message.step}, not packed rgb8 {width}x{height}"

    return look


def nothing_wrong(_message) -> Iterator[str]:
    """For topics whose content is looked at elsewhere."""
    yield from ()
