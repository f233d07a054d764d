"""A bag as figures, an episode at a time, and in plain sentences what is wrong with it."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from typing import Any

from clad.bag.figures import EpisodeFigures, EpisodeSeries
from clad.bag.live import EPISODE_FIGURES, disagreements
from clad.bag.metrics import ACTION_CHUNK, EPISODE, EXECUTED_ACTION, JOINT_STATES, LATENT_FORESIGHT, EpisodeMeter
from clad.bag.reader import bag_files, is_whole, message_counts, read_messages, read_metadata
from clad.bag.session import SessionMeter
from clad.contract import RobotContract, load_contract
from clad.data import embedded
from clad.errors import CladError
from clad.stamps import SECOND

TYPES = {
    EPISODE: "clad_interfaces/msg/EpisodeStatus",
    EXECUTED_ACTION: "clad_interfaces/msg/ExecutedAction",
    LATENT_FORESIGHT: "clad_interfaces/msg/LatentForesight",
    ACTION_CHUNK: "clad_interfaces/msg/ActionChunk",
    JOINT_STATES: "sensor_msgs/msg/JointState",
    EPISODE_FIGURES: "clad_interfaces/msg/EpisodeFigures",
}
NEEDED_FOR = {
    EPISODE: "task, outcome, success and period errors",
    EXECUTED_ACTION: "steps, motion, observation age, holds and the way of chunks to the robot",
    LATENT_FORESIGHT: "latencies and foresight errors",
    ACTION_CHUNK: "motion within chunks, observation age and latencies",
    JOINT_STATES: "the way of observations to the planner",
}
_UNDECODABLE = (struct.error, AttributeError, ValueError, TypeError, IndexError, KeyError, OverflowError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEpisode:
    """figures and series of one episode, of which a bag of a long session has several.

    differs: names of the figures that the monitor told otherwise while it ran; None where it told none.
    """

    figures: EpisodeFigures
    series: EpisodeSeries
    differs: list[str] | None = None


@dataclass(slots=True, kw_only=True)
class Recording:
    """What a bag says. problems: sentences, empty when nothing is wrong. whole: False when it was cut off.

    metadata: what a recording of ours was started with.
    """

    path: Path
    episodes: list[RecordedEpisode] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    whole: bool = True
    metadata: dict[str, str] = field(default_factory=dict)


def read_recording(path: Path, contract: RobotContract | None = None) -> Recording:
    """Holds at most two episodes' messages at a time and decodes no image.

    contract: the robot; None: the one that the recording names, or whose joints it shows. Raises CladError when `path` is no
    bag or its robot is unknown; whatever else is wrong becomes a sentence, and the figures that remain are given.
    """
    found = Recording(path=path, whole=is_whole(path), metadata=read_metadata(path))
    reading = _Reading(found)
    told: dict[int, dict[str, str]] = {}
    session = None
    for topic, published, message in reading.messages():
        if topic == EPISODE_FIGURES:
            told[message.episode] = {pair.key: pair.value for pair in message.figures}
            continue
        if session is None:
            contract = contract or _recorded_contract(found) or _robot_with_joints(found.path)
            session = SessionMeter(contract, reading.finished)
        with reading.tolerating(topic):
            session.feed(topic, published, message)
    if session is not None:
        session.close()
    reading.conclude(told)
    return found


def find_bags(paths: Iterable[Path]) -> list[Path]:
    """Every bag in or below the paths, each once, sorted within each path.

    Raises CladError naming a path that is not there or has no bag below it.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise CladError(f"{path} does not exist", "Give rosbag2 directories in MCAP, or a folder of them")
        below = list(_bags_below(path))
        if not below:
            bag_files(path)  # says what is the matter
        found |= dict.fromkeys(below)
    return list(found)


def robot_of(path: Path) -> RobotContract:
    """The robot that a recording holds, names, or whose joints it shows. Raises CladError when it does none of these."""
    return _recorded_contract(Recording(path=path, metadata=read_metadata(path))) or _robot_with_joints(path)


def _bags_below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder in sorted({file.parent for file in path.rglob("*.mcap")}):
        if any(part.startswith(".") for part in folder.relative_to(path).parts):  # a recovery under way
            continue
        files = bag_files(folder)
        of_one_bag = len(files) == 1 or (folder / "metadata.yaml").is_file()
        yield from [folder] if of_one_bag else files


class _Reading:
    """Hands out the messages that the figures need, and notes what is wrong with the others."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._read: Counter[str] = Counter()
        self._foreign: dict[str, str] = {}
        self._broken: dict[str, tuple[int, str]] = {}
        self._first = self._last = 0

    def messages(self) -> Iterator[tuple[str, int, Any]]:
        """(topic, published, message) of TYPES that have their type and can be decoded."""
        for item in read_messages(self._recording.path, TYPES):
            self._first, self._last = self._first or item.received, max(self._last, item.received)
            self._read[item.topic] += 1
            if item.type != TYPES[item.topic]:
                self._foreign[item.topic] = item.type
                continue
            message = None
            with self.tolerating(item.topic):
                message = item.message
            if message is not None:
                yield item.topic, item.published, message

    def tolerating(self, topic: str) -> _Tolerating:
        """Within, a message that cannot be read is noted and passed over."""
        return _Tolerating(self._broken, topic)

    def finished(self, meter: EpisodeMeter) -> None:
        """Keep an episode's figures and let go of its messages."""
        if not meter.is_echo:
            self._recording.episodes.append(RecordedEpisode(figures=meter.figures(), series=meter.series()))

    def conclude(self, told: dict[int, dict[str, str]]) -> None:
        """Write down what was wrong. told: the figures that the monitor told, by episode."""
        found, say = self._recording, self._recording.problems.append
        for i, episode in enumerate(found.episodes):
            if (live := told.get(episode.figures.episode)) is not None:
                differs = disagreements(live, episode.figures)
                found.episodes[i] = replace(episode, differs=differs)
                if differs:
                    say(f"episode {episode.figures.episode}: told otherwise while it ran: {', '.join(differs)}")
        if (condition := found.metadata.get("condition")) is not None:
            found.episodes = [replace(e, figures=replace(e.figures, condition=condition)) for e in found.episodes]
        if not found.whole:
            say(f"cut off: {self._end()}")
        for topic, kind in self._foreign.items():
            say(
                f"{topic} is {_short(kind)}, not {_short(TYPES[topic])}: {NEEDED_FOR.get(topic, 'live figures')} are missing"
            )
        for topic, what in NEEDED_FOR.items():
            if self._last and not self._read[topic]:
                say(f"no {topic}: {what} are missing")
        for topic, (count, error) in self._broken.items():
            say(f"{topic}: {count} messages cannot be read ({error})")
        for topic, count in message_counts(found.path).items() if found.whole else ():
            if topic in TYPES and self._read[topic] < count:
                say(f"{topic}: {self._read[topic]} of {count} messages can be read; the file is damaged")
        if not found.episodes:
            say("no episode is in it")

    def _end(self) -> str:
        if not self._last:
            return "the recording breaks off before its first message"
        end = datetime.fromtimestamp(self._last / SECOND, tz=timezone.utc)
        after = (self._last - self._first) / SECOND
        return f"the recording breaks off at {end:%Y-%m-%d %H:%M:%S} UTC, after {after:.1f} s; figures are up to there"


class _Tolerating:
    """A context that notes errors of decoding under a topic."""

    def __init__(self, broken: dict[str, tuple[int, str]], topic: str) -> None:
        self._broken, self._topic = broken, topic

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> bool:
        if kind is None or not issubclass(kind, _UNDECODABLE):
            return False
        count = self._broken.get(self._topic, (0, ""))[0]
        self._broken[self._topic] = (count + 1, str(error) or kind.__name__)
        return True


def _recorded_contract(found: Recording) -> RobotContract | None:
    """The robot that a recording of ours holds, or names."""
    if (contract := embedded.extract(found.path, found.metadata)) is not None:
        return contract
    name, digest = found.metadata.get("contract"), found.metadata.get("contract_hash")
    if not name:
        return None
    try:
        contract = load_contract(name)
    except CladError as error:
        raise CladError(f"{found.path} shows robot {name}, which is not shipped", "Give its --robot FILE") from error
    if digest not in (None, contract.hash):
        found.problems.append(f"robot {name} was another version then ({digest[:12]}, now {contract.hash[:12]})")
    return contract


def _robot_with_joints(path: Path) -> RobotContract:
    """The shipped robot whose joints the recording shows, of two alike the one that comes first by name."""
    names: set[str] = set()
    for item in read_messages(path, (JOINT_STATES,)):
        with suppress(*_UNDECODABLE):
            names = set(item.message.name)
            break
    shipped = resources.files("clad.contract") / "robots"
    for file in sorted(f.name for f in shipped.iterdir() if f.name.endswith(".yaml")):
        contract = load_contract(file.removesuffix(".yaml"))
        if names and names >= {*contract.joint_names, *contract.gripper_joint_names}:
            return contract
    raise CladError(f"{path} does not say which robot it shows", "Give --robot NAME")


def _short(kind: str) -> str:
    return kind.replace("/msg/", "/")
