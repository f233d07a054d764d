"""Whether a recording satisfies the contract, and what it is good for: everything that is missing, at once.

A bag is streamed twice: message by message against the contract, and then, where nothing was found that spoils training,
episode by episode through the very reader that makes training data.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clad.bag.reader import bag_files, is_whole, read_messages, read_metadata
from clad.bag.streams import Stream, action_problems, image_problems, joint_problems, nothing_wrong, pose_problems
from clad.contract import RobotContract
from clad.data.bag_runs import ACTION_TYPE, EPISODE, EXECUTED_ACTION, STATUS_TYPE, Run, runs
from clad.data.rosbag import (
    ARM_LATE,
    EE_POSE,
    IMAGE_TYPE,
    JOINT_STATES,
    OFF_RATE,
    SIMULATED,
    STATE_TYPES,
    Told,
    episode_names,
    image_topic,
    read_episode,
)
from clad.data.validate import problems
from clad.errors import CladError
from clad.stamps import SECOND

USES = ("report", "replay", "training")
LATENT_FORESIGHT, ACTION_CHUNK = "/latent_foresight", "/action_chunk"
_TO_LEARN = ("replay", "training")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as the contract has it. topic: empty for the bag as a whole. spoils: uses that it rules out."""

    topic: str
    message: str
    spoils: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.topic} {self.message}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFacts:
    """rate: messages a second of header time within episodes, None where that cannot be said. longest_gap: s, likewise."""

    topic: str
    type: str
    messages: int
    rate: float | None
    longest_gap: float | None


@dataclass(slots=True, kw_only=True)
class BagCheck:
    """What was found in a bag. steps: actions in it; imitable: those worth imitating, None where it can't be read."""

    path: Path
    robot: str
    recorder: str
    whole: bool
    files: int
    episodes: int = 0
    steps: int = 0
    imitable: int | None = None
    topics: list[TopicFacts] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def good_for(self, use: str) -> bool:
        """Whether nothing was found that rules this use out."""
        return not any(use in finding.spoils for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self) | {"path": str(self.path), "good_for": {use: self.good_for(use) for use in USES}}


def check_bag(path: Path, contract: RobotContract, told: Told = Told()) -> BagCheck:
    """Everything that a bag lacks or has otherwise. Raises CladError only when `path` is no bag."""
    metadata = read_metadata(path)
    result = BagCheck(
        path=path,
        robot=contract.name,
        recorder="clad_recorder" if metadata else "another recorder",
        whole=is_whole(path),
        files=len(bag_files(path)),
    )
    recorded = metadata.get("contract_hash", contract.hash)
    if recorded != contract.hash:
        shown = f"shows robot {metadata.get('contract')} ({recorded[:12]}), not {contract.name} ({contract.hash[:12]})"
        _say(result, "", shown, *_TO_LEARN)
    if not result.whole:
        _say(result, "", "was cut off: its last file has no end; what is whole is read")
    elif path.is_dir() and not (path / "metadata.yaml").is_file():
        _say(result, "", "has no metadata.yaml: ros2 bag wants one (ros2 bag reindex -s mcap)")
    streams = _streams(contract, told)
    if _feed(path, streams):
        _say(result, "", "has no publication stamps of its own: latencies in the report include the recorder's")
    found = _runs(path, streams, result)
    for stream, needed in streams.values():
        _judge(result, stream, needed, found, contract)
    if result.good_for("training"):
        _read(result, contract, told)
    return result


def _say(result: BagCheck, topic: str, message: str, *spoils: str) -> None:
    result.findings.append(Finding(topic=topic, message=message, spoils=spoils))


def _streams(contract: RobotContract, told: Told) -> dict[str, tuple[Stream, tuple[str, ...]]]:
    """Topic -> the stream that it should be, and the uses that need it."""
    said = told.instruction and told.outcome
    wanted = [
        (EPISODE, STATUS_TYPE, nothing_wrong, ("report", "replay") if said else USES),
        (EXECUTED_ACTION, ACTION_TYPE, action_problems(contract), USES),
        (JOINT_STATES, STATE_TYPES[JOINT_STATES], joint_problems(contract), _TO_LEARN),
        (EE_POSE, STATE_TYPES[EE_POSE], pose_problems, _TO_LEARN),
        *((image_topic(c), IMAGE_TYPE, image_problems(contract), _TO_LEARN) for c in contract.cameras),
        (LATENT_FORESIGHT, "clad_interfaces/msg/LatentForesight", nothing_wrong, ("replay",)),
        (ACTION_CHUNK, "clad_interfaces/msg/ActionChunk", nothing_wrong, ("replay",)),
    ]
    return {topic: (Stream(topic=topic, type=kind, look=look), needed_for) for topic, kind, look, needed_for in wanted}


def _feed(path: Path, streams: dict[str, tuple[Stream, tuple[str, ...]]]) -> bool:
    """Stream the bag once; whether every message was published when it was received."""
    count = differ = 0
    for item in read_messages(path):  # all topics: one without a definition is a finding, not the end
        if item.topic in streams:
            streams[item.topic][0].feed(item)
            count, differ = count + 1, differ + (item.published != item.received)
    return count > 0 and not differ


def _runs(path: Path, streams: dict[str, tuple[Stream, tuple[str, ...]]], result: BagCheck) -> tuple[Run, ...]:
    """The bag's episodes; none where actions or statuses have another type, which is told with their topics."""
    if any(streams[topic][0].other_type for topic in (EXECUTED_ACTION, EPISODE)):
        return ()
    try:
        found = runs(path)
    except CladError as error:
        _say(result, EXECUTED_ACTION, str(error).removeprefix(f"{path}: {EXECUTED_ACTION}: "), *USES)
        return ()
    result.episodes, result.steps = len(found), sum(len(run.actions) for run in found)
    for run in found:
        if missing := sorted(set(range(max(run.actions))) - set(run.actions)):
            shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
            words = f"lacks {len(missing)} of {max(run.actions) + 1} steps of episode {run.number}: {shown}"
            _say(result, EXECUTED_ACTION, words, *_TO_LEARN)
        if run.statuses and run.statuses[-1].phase <= 1:
            _say(result, EPISODE, f"says no outcome of episode {run.number}")
        if not run.statuses and streams[EPISODE][0].messages:
            _say(result, EPISODE, f"says nothing of episode {run.number}", *streams[EPISODE][1])
    return found


def _judge(
    result: BagCheck, stream: Stream, needed: tuple[str, ...], found: tuple[Run, ...], contract: RobotContract
) -> None:
    """What is wrong with one topic."""
    topic, n = stream.topic, stream.messages
    pieces = [stream.within(*run.span) for run in found]
    gaps = np.concatenate([np.diff(piece) for piece in pieces] or [[]]) / SECOND
    rate = float(len(gaps) / gaps.sum()) if len(gaps) else None
    longest = float(gaps.max()) if len(gaps) else None
    shown = stream.other_type or stream.type
    result.topics.append(TopicFacts(topic=topic, type=shown, messages=n, rate=rate, longest_gap=longest))
    if n == 0:
        _say(result, topic, "is missing", *needed)
        return
    if stream.other_type:
        _say(result, topic, f"is {stream.other_type}, not {stream.type}", *needed)
        return
    for words, count in stream.wrong.items():
        _say(result, topic, f"{words} ({count} of {n} messages)", *needed)
    pictures = stream.type == IMAGE_TYPE
    if not (pictures or topic in (EXECUTED_ACTION, JOINT_STATES, EE_POSE)):
        return
    if stream.backward:
        _say(result, topic, f"has stamps that go back, {stream.backward} times", *needed)
    lockstep = any(run.statuses and run.statuses[-1].mode == "lockstep" for run in found)
    if len(gaps) == 0 or pictures and lockstep:  # in lock-step pictures are taken where a plan is due, and only there
        return
    period, median = contract.control_period, float(np.median(gaps))
    off = abs(median - period) if topic == EXECUTED_ACTION else median - period
    if off > OFF_RATE * period:
        words = f"comes at {1 / median:.3g} Hz, the contract has {contract.control_rate:g}"
        _say(result, topic, words, *(() if pictures else needed))
    if long := int((gaps > ARM_LATE * period).sum()):
        most = f"{ARM_LATE * period:.3g} s ({ARM_LATE:g} periods)"
        _say(result, topic, f"has {long} gaps over {most}, the longest {longest:.3g} s")


def _read(result: BagCheck, contract: RobotContract, told: Told) -> None:
    """Through the reader of training data: it has the last word."""
    result.imitable = 0
    for name in episode_names(result.path):
        try:
            episode = read_episode(result.path, name, contract, told)
        except CladError as error:
            _say(result, "", str(error).removeprefix(f"{result.path}: "), "training")
            continue
        for problem in problems(episode, contract, result.path):
            _say(result, "", f"{name}: {problem.field} {problem.message}", "training")
        result.imitable += int(episode.label_valid.sum())
        if not episode.label_valid.any():
            words = (
                f"{name} ended as {episode.meta['outcome']}: it shows how the world moves, no step is to be imitated"
            )
            _say(result, "", words)
        if episode.meta["protocol"] not in SIMULATED and (unseen := int((~episode.image_valid).sum())):
            _say(result, "", f"{name}: {unseen} of {len(episode)} steps have no new picture")
