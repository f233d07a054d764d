"""Moments of a recording at an even rate: the newest pictures of every camera, and what the robot did then."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from clad.bag.metrics import EPISODE, EXECUTED_ACTION, OUTCOMES, RUNNING
from clad.bag.pictures import CAMERA_SUFFIX, picture
from clad.bag.reader import BagMessage, read_messages
from clad.bag.recording import robot_of
from clad.errors import CladError
from clad.stamps import SECOND, to_ns

PICTURES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_TYPES = {EPISODE: "clad_interfaces/msg/EpisodeStatus", EXECUTED_ACTION: "clad_interfaces/msg/ExecutedAction"}
_HOLD = 2  # ExecutedAction.source
SLACK = SECOND // 2  # ns by which messages may lie in the bag later than their stamps' order
LULL = 10 * SECOND  # ns; a longer time without a message is left out
AFTER = SECOND  # ns after the last action that still belong to the episode


@dataclass(slots=True, kw_only=True)
class Shot:
    """An episode to be shown. start, end: ROS ns; cameras: topics with pictures in it. episode: None where nobody numbered it."""

    episode: int | None
    start: int
    end: int | None = None
    instruction: str = ""
    outcome: str = "cut off"
    cameras: set[str] = field(default_factory=set)

    def has(self, stamp: int) -> bool:
        return self.start <= stamp and (self.end is None or stamp <= self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """time: s since the episode's start. step: the control step under way. held: how many were, this one included;
    holding: why this one is, empty while it moves."""

    time: float
    step: int
    held: int
    holding: str
    pictures: Mapping[str, np.ndarray]


def find_shots(bag: Path, cameras: Collection[str] | None = None) -> list[Shot]:
    """The episodes in a bag, in order, without looking at a picture.

    cameras: topics; None: the cameras of the robot that it shows, or else all that have pictures. Of a recording that has
    no word on episodes it is one, from its first picture on. Raises CladError when there are no pictures.
    """
    shots: list[Shot] = []
    seen: dict[str, tuple[int, int]] = {}  # camera -> first and last stamp
    for item in read_messages(bag):
        if _is(item, EPISODE) and item.message.phase >= RUNNING:
            _on_status(shots, item.message)
        elif _is(item, EXECUTED_ACTION):
            for shot in shots:
                if shot.episode == item.message.episode:
                    shot.end = to_ns(item.message.header.stamp) + AFTER
        elif item.type in PICTURES and (cameras is None or item.topic in cameras):
            stamp = header_stamp(item.data)
            first, last = seen.get(item.topic, (stamp, stamp))
            seen[item.topic] = min(first, stamp), max(last, stamp)
    if not seen:
        wanted = "" if cameras is None else f" on {', '.join(cameras)}"
        raise CladError(f"{bag} has no pictures{wanted}", "Record the cameras' topics, or name them with --camera")
    if cameras is None and (ours := _robots_cameras(bag) & seen.keys()):  # a driver's raw pictures may lie beside them
        seen = {topic: seen[topic] for topic in ours}
    if not shots:
        shots = [Shot(episode=None, start=min(first for first, _ in seen.values()), outcome="")]
    for shot, following in zip(shots, [*shots[1:], None]):
        if following is not None:
            shot.end = min(shot.end or following.start, following.start - 1)
        shot.cameras = {c for c, (first, last) in seen.items() if last >= shot.start and (shot.end or first) >= first}
    return [shot for shot in shots if shot.cameras]


def moments(bag: Path, shot: Shot, fps: float) -> Iterator[Moment]:
    """`fps` a second of ROS time, from when every camera has a picture; holds half a second of messages at a time."""
    return _Moments(shot, fps).read(bag)


def header_stamp(data: bytes) -> int:
    """Stamp, ns, of a serialised message that begins with a std_msgs/Header: no picture is decoded for it."""
    order = "little" if data[1] & 1 else "big"  # CDR: encapsulation, then sec and nanosec
    seconds = int.from_bytes(data[4:8], order, signed=True)
    return seconds * SECOND + int.from_bytes(data[8:12], order)


def _robots_cameras(bag: Path) -> set[str]:
    try:
        return {f"/{camera}{CAMERA_SUFFIX}" for camera in robot_of(bag).cameras}
    except CladError:
        return set()


def _is(item: BagMessage, topic: str) -> bool:
    return item.topic == topic and item.type == _TYPES[topic]


def _on_status(shots: list[Shot], status: Any) -> None:
    start = to_ns(status.header.stamp)
    known = next((shot for shot in shots if shot.start == start), None)
    if known is None:
        if status.phase > RUNNING:  # the latched word on the episode before the recording began
            return
        known = Shot(episode=status.episode, start=start)
        shots.append(known)
    known.instruction = status.instruction
    if status.phase > RUNNING:
        known.outcome = OUTCOMES[status.phase]


class _Moments:
    def __init__(self, shot: Shot, fps: float) -> None:
        self._shot = shot
        self._period = SECOND / fps
        self._pictures: dict[str, np.ndarray] = {}
        self._begun = 0.0  # ROS ns of the first moment of an even run
        self._made = -1  # moments since then; -1: none yet
        self._step = self._held = 0
        self._holding = ""

    def read(self, bag: Path) -> Iterator[Moment]:
        waiting: list[tuple[int, int, BagMessage]] = []
        number, newest = count(), self._shot.start
        for item in read_messages(bag, {*self._shot.cameras, EXECUTED_ACTION}):
            if not (item.topic in self._shot.cameras or _is(item, EXECUTED_ACTION)):
                continue
            stamp = header_stamp(item.data)
            if not self._shot.has(stamp):
                continue
            heapq.heappush(waiting, (stamp, next(number), item))
            newest = max(newest, stamp)
            while waiting[0][0] < newest - SLACK:
                yield from self._take(*heapq.heappop(waiting))
        while waiting:
            yield from self._take(*heapq.heappop(waiting))
        if self._pictures and self._made >= 0:
            yield self._moment()

    def _take(self, stamp: int, _: int, item: BagMessage) -> Iterator[Moment]:
        """The moments before this message, then what it changes."""
        if self._made >= 0 and stamp - self._due > LULL:
            yield self._moment()
            self._begun, self._made = stamp, 0
        while self._made >= 0 and self._due < stamp:
            yield self._moment()
        if item.topic == EXECUTED_ACTION:
            held = item.message.source == _HOLD
            self._step = item.message.step
            self._held += held
            self._holding = (item.message.reason or "no reason given") if held else ""
            return
        self._pictures[item.topic] = picture(item.message)
        if self._made < 0 and set(self._pictures) == self._shot.cameras:
            self._begun, self._made = stamp, 0

    @property
    def _due(self) -> float:
        return self._begun + self._made * self._period

    def _moment(self) -> Moment:
        time = (self._due - self._shot.start) / SECOND
        self._made += 1
        return Moment(
            time=time,
            step=self._step,
            held=self._held,
            holding=self._holding,
            pictures={topic: self._pictures[topic] for topic in sorted(self._shot.cameras)},
        )
