"""What is wrong with a running graph, in words: rules over a snapshot of it. Knows no ROS (clad_ros.snapshot takes it)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clad.contract import RobotContract

BRIDGES = ("sim_bridge", "robot_bridge")
INFERENCE = ("planner", "policy")
SLOW = 0.8  # share of the expected rate below which a stream is called slow
LEVELS = {1: "warns", 2: "reports an error", 3: "is stale"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong. about: the node or topic. remedy: what to do."""

    about: str
    words: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One topic. publishers: node names. heard: messages in the time of listening. alone: two publishers are a fault.

    always: flows whether an episode runs or not. rate: Hz of wall time that it should have, None where that is open.
    """

    topic: str
    publishers: tuple[str, ...] = ()
    heard: int = 0
    alone: bool = True
    always: bool = False
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deaf:
    """A subscription that cannot hear a publisher. reason: the policies that do not fit, in words."""

    topic: str
    publisher: str
    subscriber: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """seconds: of listening. nodes: lifecycle node -> its state, '' where it does not answer.

    parameters: node -> name -> value. statuses: what /diagnostics says, name -> (level, message), OK is 0.
    running: an episode is under way. mode: lockstep | free-run | '' while nothing was heard of an episode.
    safety: (stopped, reasons) of the newest /safety_status. joint_names: of /joint_states.
    image_sizes: topic -> (height, width, encoding). ee_frame_id: of /ee_pose. model_ids: node -> the model it names.
    """

    seconds: float
    nodes: Mapping[str, str]
    streams: tuple[Stream, ...] = ()
    deaf: tuple[Deaf, ...] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    statuses: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    running: bool = False
    mode: str = ""
    safety: tuple[bool, tuple[str, ...]] | None = None
    joint_names: tuple[str, ...] | None = None
    image_sizes: Mapping[str, tuple[int, int, str]] = field(default_factory=dict)
    ee_frame_id: str | None = None
    model_ids: Mapping[str, str] = field(default_factory=dict)


def faults(snapshot: Snapshot, contract: RobotContract) -> list[Fault]:
    """Everything that is wrong, the causes before what follows from them; empty for a healthy graph."""
    if not any(name in snapshot.nodes for name in (*INFERENCE, *BRIDGES)):
        return [
            Fault(
                about="graph",
                words="no planner, policy or bridge is to be seen",
                remedy="Start one; if it runs, set ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE as it has them",
            )
        ]
    rules = (_nodes, _settings, _connections, _streams, _contents, _told)
    return [fault for rule in rules for fault in rule(snapshot, contract)]


def _nodes(s: Snapshot, _) -> Iterator[Fault]:
    bridges = [name for name in BRIDGES if name in s.nodes]
    if not bridges:
        yield Fault(about="bridge", words="neither sim_bridge nor robot_bridge runs", remedy="Start one of them")
    if len(bridges) > 1:
        yield Fault(about="bridge", words="both bridges run, for one robot", remedy="Stop one of them")
    for name in INFERENCE:
        if name not in s.nodes:
            yield Fault(about=name, words="does not run", remedy=f"Start it: ros2 run clad_{name} {name}_node")
    for name, state in s.nodes.items():
        if not state:
            yield Fault(about=name, words="does not answer: it hangs, or is busy for long", remedy="See its log")
        elif state != "active":
            yield Fault(
                about=name,
                words=f"is {state}, not active",
                remedy="Bring it up: auto_activate, the manager, or ros2 lifecycle set",
            )


def _settings(s: Snapshot, _) -> Iterator[Fault]:
    for parameter, what in (("contract", "robot"), ("model", "model")):
        given = {
            node: values[parameter]
            for node, values in s.parameters.items()
            if node in INFERENCE + (BRIDGES if parameter == "contract" else ()) and values.get(parameter)
        }
        if len(set(given.values())) > 1:
            words = ", ".join(f"{node} has {value}" for node, value in given.items())
            yield Fault(about=parameter, words=f"not one {what} for all: {words}", remedy="Start all with the same")
    if len(set(s.model_ids.values())) > 1:
        words = ", ".join(f"{node} uses {model}" for node, model in s.model_ids.items())
        yield Fault(about="model", words=f"two models: {words}", remedy="Start planner and policy with the same")


def _connections(s: Snapshot, _) -> Iterator[Fault]:
    for d in s.deaf:
        yield Fault(
            about=d.topic,
            words=f"{d.subscriber} cannot hear {d.publisher}: {d.reason}",
            remedy="Change the publisher's QoS (docs/architecture.md has the table)",
        )


def _streams(s: Snapshot, _) -> Iterator[Fault]:
    for stream in s.streams:
        if not stream.publishers:
            yield Fault(about=stream.topic, words="nobody publishes it", remedy="Start what should, or remap its topic")
        elif len(stream.publishers) > 1 and stream.alone:
            yield Fault(
                about=stream.topic,
                words=f"{len(stream.publishers)} publishers: {', '.join(stream.publishers)}",
                remedy="Stop all but one: a robot that hears two obeys neither",
            )
        if stream.publishers and (stream.always or s.running):
            rate = stream.heard / s.seconds
            if not stream.heard:
                yield Fault(
                    about=stream.topic,
                    words=f"nothing came in {s.seconds:g} s from {', '.join(stream.publishers)}",
                    remedy="See the publisher's diagnostics and log",
                )
            elif stream.rate is not None and rate < SLOW * stream.rate:
                yield Fault(
                    about=stream.topic,
                    words=f"{rate:.1f} Hz, where the contract wants {stream.rate:g}",
                    remedy="See whether the machine is overloaded, or the driver's rate is set lower",
                )


def _contents(s: Snapshot, contract: RobotContract) -> Iterator[Fault]:
    remedy = f"Make the driver publish what contract {contract.name} says, or correct the contract"
    if s.joint_names is not None:
        missing = [n for n in contract.joint_names + contract.gripper_joint_names if n not in s.joint_names]
        if missing:
            yield Fault(
                about="/joint_states",
                words=f"no joint {', '.join(missing)}; there are {', '.join(s.joint_names) or 'none'}",
                remedy=remedy,
            )
    if s.ee_frame_id is not None and s.ee_frame_id != contract.base_frame:
        words = f"is in frame '{s.ee_frame_id}', the contract's is '{contract.base_frame}'"
        yield Fault(about="/ee_pose", words=words, remedy=remedy)
    for topic, (height, width, encoding) in s.image_sizes.items():
        if (height, width, encoding) != (contract.image_size, contract.image_size, "rgb8"):
            yield Fault(
                about=topic,
                words=f"is {width}x{height} {encoding}, the contract wants {contract.image_size} pixels square, rgb8",
                remedy=remedy,
            )


def _told(s: Snapshot, _) -> Iterator[Fault]:
    for name, (level, message) in s.statuses.items():
        if level:
            yield Fault(about=name, words=f"{LEVELS.get(level, 'says')}: {message}", remedy="As it says")
    if s.safety is not None and s.safety[0]:
        reasons = ", ".join(s.safety[1])
        remedy = "Release it: /reset_safety" if "estop" in s.safety[1] else "docs/safety.md explains each reason"
        yield Fault(about="/safety_status", words=f"the arm is held: {reasons}", remedy=remedy)
