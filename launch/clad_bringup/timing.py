"""The graph on the loopback robot, watched: when each message was published, and what each process takes.

Publication times are the middleware's own stamps, so that a watcher that is late itself measures no lateness.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import psutil
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState
from tqdm import tqdm

from clad.bench.graph import Made, Planned, Seen
from clad.contract import RobotContract
from clad_bringup.conductor import Conductor
from clad_bringup.graph import NodeSpec, robot_graph
from clad_interfaces.action import RunEpisode
from clad_interfaces.msg import ActionChunk, ExecutedAction, LatentForesight
from clad_ros import topics
from clad_ros.stamps import SECOND, to_ns

NODES = ("policy", "planner", "loopback_robot", "robot_bridge", "manager")
CAMERA_MARGIN = 1.5  # pictures a control step: a new one for every step, also when it is late by a third of a step


def timed_graph(arguments: dict[str, str], contract: Path, rate: float) -> list[NodeSpec]:
    """The loopback robot's graph without recorder and runner, by another contract file of the fake robot."""
    pictures = CAMERA_MARGIN * rate
    # the planner's limit stands above the rate: at it, every jitter would be a wait
    specs = robot_graph({**arguments, "robot": "loopback", "inference_rate": str(pictures)})
    changes = {"contract": str(contract), "camera_rate": pictures}
    return [
        replace(
            spec,
            parameters=spec.parameters
            | {name: value for name, value in changes.items() if name in spec.parameters}
            | ({"nodes": [n for n in NODES if n != "manager"]} if spec.name == "manager" else {}),
        )
        for spec in specs
        if spec.name in NODES
    ]


class Watch:
    """Fills a `Seen`. every: s between two looks at the processes."""

    def __init__(self, conductor: Conductor, contract: RobotContract, every: float) -> None:
        self.seen = Seen(period=contract.control_period)
        self._processes: dict[str, psutil.Process] = {}
        node = conductor.node
        for message, topic, callback, qos in (
            (JointState, topics.JOINT_STATES, self._on_observation, topics.STATE_QOS),
            (LatentForesight, topics.LATENT_FORESIGHT, self._on_foresight, topics.EVERY_FORESIGHT_QOS),
            (ActionChunk, topics.ACTION_CHUNK, self._on_chunk, topics.EVERY_FORESIGHT_QOS),
            (ExecutedAction, topics.EXECUTED_ACTION, self._on_executed, topics.ACTION_QOS),
        ):
            node.create_subscription(message, topic, callback, qos)
        node.create_timer(every, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _on_observation(self, message: JointState, info: dict) -> None:
        self.seen.observed[to_ns(message.header.stamp)] = info["source_timestamp"] / SECOND

    def _on_foresight(self, message: LatentForesight, info: dict) -> None:
        self.seen.foresights[message.seq] = Planned(
            at=info["source_timestamp"] / SECOND,
            encode=to_ns(message.encode_latency) / SECOND,
            plan=to_ns(message.plan_latency) / SECOND,
        )

    def _on_chunk(self, message: ActionChunk, info: dict) -> None:
        self.seen.chunks.append(
            Made(
                at=info["source_timestamp"] / SECOND,
                policy=to_ns(message.policy_latency) / SECOND,
                stamp=to_ns(message.obs_stamp),
                foresight=message.foresight_seq,
            )
        )

    def _on_executed(self, message: ExecutedAction, info: dict) -> None:
        at = info["source_timestamp"] / SECOND
        self.seen.executed_at.append(at)
        if message.source == ExecutedAction.SOURCE_HOLD:
            self.seen.held.append((at, message.reason))

    def find_processes(self) -> None:
        """The nodes among this process's children, by the name that they were started with."""
        for child in psutil.Process().children(recursive=True):
            name = next((a.partition(":=")[2] for a in child.cmdline() if a.startswith("__node:=")), "")
            if name in NODES:
                self._processes[name] = child

    def _look(self) -> None:
        """By the system's clock, which the middleware's stamps are of."""
        for name, process in self._processes.items():
            times, memory = process.cpu_times(), process.memory_full_info()
            self.seen.nodes.setdefault(name, []).append((time.time(), times.user + times.system, memory.pss))


def watch_episode(conductor: Conductor, contract: RobotContract, *, seconds: float, every: float) -> Seen:
    """One episode of so many seconds in a graph of `timed_graph`, and what was seen of it."""
    watch = Watch(conductor, contract, every)
    conductor.wait_active([name for name in NODES if name != "manager"])
    watch.find_processes()
    steps = round(seconds * contract.control_rate)
    with tqdm(total=round(seconds), unit="s", desc="graph") as progress:

        def advance() -> None:
            progress.update(
                min(round(len(watch.seen.executed_at) / contract.control_rate), progress.total) - progress.n
            )

        conductor.node.create_timer(1.0, advance, clock=Clock(clock_type=ClockType.STEADY_TIME))
        goal = RunEpisode.Goal(instruction="a robot that is only timed", max_steps=steps)
        conductor.episode(goal, 3 * seconds + 120)
    return watch.seen
