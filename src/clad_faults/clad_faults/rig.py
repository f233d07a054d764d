"""The graph under test: its nodes as processes, with a relay in each wire that a fault may be put into."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger

from clad.contract import RobotContract
from clad.errors import CladError
from clad_bringup.graph import NodeSpec
from clad_bringup.supervisor import command
from clad_faults.relay import Relay, relayed
from clad_interfaces.msg import ActionChunk, EpisodeStatus, ExecutedAction, LatentForesight, SafetyStatus
from clad_interfaces.srv import ResetEpisode
from clad_ros import topics
from clad_ros.stamps import control_period_ns, to_ns

START_TIMEOUT = 120.0  # s: importing and warming up, on a machine that does other things too
NODES, DRIVER, NOWHERE = "nodes", "driver", "nowhere"  # wires with relays in them
ANSWER = 15.0  # s after which a request is sent again: a service of a process that has died is there for 20 s more
STEADY = 5  # control steps in a row from chunks until a robot counts as moving


class Rig:
    """Start with `start_all`, close with `close`. A thread of its own carries messages; everything else may wait.

    bridge: name of the node that executes chunks. relays: by topic. Times are ROS time in ns.
    """

    def __init__(
        self, specs: list[NodeSpec], bridge: str, contract: RobotContract, folder: Path, *, wired: str = NODES
    ) -> None:
        """wired: where the relays are: between the NODES, between the arm's DRIVER and the bridge, or NOWHERE, as for a
        process that dies: every node then hears the others directly."""
        self.bridge, self.contract, self.period = bridge, contract, control_period_ns(contract)
        relays, wires = _wires(wired, bridge, contract)
        self.specs = {spec.name: _rewired(spec, wires.get(spec.name, [])) for spec in specs}
        self._folder = folder
        self._processes: dict[str, subprocess.Popen] = {}
        self.steps: list[tuple[float, ExecutedAction]] = []  # (monotonic s at arrival, what was executed)
        self.told: list[tuple[float, DiagnosticStatus]] = []
        self.episode = EpisodeStatus()
        self._stopped = False  # whether an emergency stop was told since a process was killed
        self.harmed_at: int | None = None  # when a relay first changed a message
        self.node = node = rclpy.create_node("fault_injector")
        self.relays = {topic: Relay(node, kind, topic, qos, self.note_harm) for topic, (kind, qos) in relays.items()}
        self.observations = _observations(contract)
        node.create_subscription(ExecutedAction, topics.EXECUTED_ACTION, self._on_step, topics.ACTION_QOS)
        node.create_subscription(EpisodeStatus, topics.EPISODE, self._on_episode, topics.EPISODE_QOS)
        node.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.DIAGNOSTICS_QOS)
        node.create_subscription(SafetyStatus, topics.SAFETY_STATUS, self._on_safety, topics.SAFETY_STATUS_QOS)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._executor.spin, name="relays", daemon=True)
        self._thread.start()

    def _on_step(self, message: ExecutedAction) -> None:
        self.steps.append((time.monotonic(), message))

    def _on_episode(self, message: EpisodeStatus) -> None:
        self.episode = message

    def _on_safety(self, message: SafetyStatus) -> None:
        self._stopped |= message.state == SafetyStatus.ESTOP

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.told += [(time.monotonic(), status) for status in message.status]

    def note_harm(self) -> None:
        """Called by the relays' thread."""
        if self.harmed_at is None and self.steps:
            self.harmed_at = self.now()

    # --- processes

    def start_all(self) -> None:
        """Every node, active. Raises CladError naming one that is not."""
        for name in self.specs:
            self.start(name)
        for name, spec in self.specs.items():
            if "auto_activate" in spec.parameters:  # the manager is no lifecycle node
                self.wait_active(name)

    def start(self, name: str) -> None:
        """One node's process, anew if it ran before."""
        spec = self.specs[name]
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command(spec, self._folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    def restart(self, name: str) -> None:
        """The documented recovery of a node that died: start it again, wait for it, release the stop that its loss caused."""
        self.start(name)
        self.wait_active(name)
        if "manager" in self.specs:
            # not before: a release that comes before the stop, which the manager presses until it is heard, releases nothing
            self.wait(lambda: self._stopped, "the manager's emergency stop", 60.0)
            self.wait(lambda: self.call(Trigger, topics.RESET_SAFETY).success, "the emergency stop to be released")

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def runs(self, name: str) -> bool:
        return self._processes[name].poll() is None

    def kill(self, name: str) -> None:
        """As the kernel does when memory is short: no handler runs, nothing is put in order."""
        self._stopped = False
        self._processes[name].send_signal(signal.SIGKILL)
        self._processes[name].wait()

    def wait_active(self, name: str) -> None:
        """Until the node's lifecycle state is active."""
        client = self.node.create_client(GetState, f"/{name}/get_state")

        def active() -> bool:
            if self._processes[name].poll() is not None:
                raise CladError(f"{name} ended: {self.last_words(name)}", f"See {self._folder / name}.log")
            if not client.service_is_ready():
                return False
            future = client.call_async(GetState.Request())
            deadline = time.monotonic() + 1.0
            while not future.done() and time.monotonic() < deadline:
                time.sleep(0.01)
            return future.done() and future.result().current_state.label == "active"

        self.wait(active, f"{name} to be active", START_TIMEOUT)
        self.node.destroy_client(client)

    def last_words(self, name: str) -> str:
        lines = (self._folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "(it said nothing)"

    def start_again(self) -> None:
        """End what is left of the graph and start all of it."""
        self._end_all()
        self.start_all()

    def close(self) -> None:
        """End every process, and the thread."""
        self._end_all()
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(5.0)
        self.node.destroy_node()

    def _end_all(self) -> None:
        """The newest first."""
        for process in reversed(self._processes.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self._processes.values():
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # --- what happens

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
        """Until the condition holds. Raises CladError naming `what`."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise CladError(f"waited {timeout:g} s in vain for {what}", f"The nodes' logs are in {self._folder}")
            time.sleep(0.005)

    def call(self, service: type, name: str, timeout: float = 60.0, **fields):
        """A service's response; a request that a dying process may have taken with it is sent again."""
        client = self.node.create_client(service, name)
        self.wait(client.service_is_ready, name)
        future, sent = client.call_async(service.Request(**fields)), time.monotonic()

        def answered() -> bool:
            nonlocal future, sent
            if not future.done() and time.monotonic() - sent > ANSWER:
                future, sent = client.call_async(service.Request(**fields)), time.monotonic()
            return future.done()

        self.wait(answered, f"an answer of {name}", timeout)
        self.node.destroy_client(client)
        return future.result()

    def now(self) -> int:
        """ROS time as the robot has it: the last control step's, and how long it has acted since."""
        wall, message = self.steps[-1]
        return to_ns(message.header.stamp) + min(round((time.monotonic() - wall) * 1e9), self.period)

    def moving(self) -> bool:
        """Whether the last STEADY control steps came from chunks."""
        last = [message for _, message in self.steps[-STEADY:]]
        return len(last) == STEADY and all(m.source == ExecutedAction.SOURCE_CHUNK for m in last)

    def until_moving(self) -> None:
        """An episode in its first steps, executing chunks; a new one where that is needed."""
        if self.episode.phase != EpisodeStatus.RUNNING or (self.steps and self.steps[-1][1].step > 40):
            self.begin_episode()
        self.wait(self.moving, "the robot to execute chunks", 60.0)

    def begin_episode(self) -> None:
        """A new episode; asked for again while an arm that has just been started is not heard yet."""
        deadline = time.monotonic() + START_TIMEOUT
        while not (reset := self.call(ResetEpisode, topics.RESET_EPISODE)).success:
            if time.monotonic() > deadline:
                raise CladError(f"no episode could be started: {reset.message}")
            time.sleep(0.2)
        self.steps.clear()

    def first_hold(self, since: int) -> ExecutedAction | None:
        """The first control step from `since` on at which the robot held."""
        held = (m for _, m in list(self.steps) if m.source == ExecutedAction.SOURCE_HOLD)
        return next((m for m in held if to_ns(m.header.stamp) >= since), None)

    def said(self, node: str, words: str, since: float) -> DiagnosticStatus | None:
        """The first alarm of a node with these words after the monotonic time `since`."""
        return next((status for _, status in self._alarms(node, words, since)), None)

    def said_at(self, node: str, words: str, since: float) -> float | None:
        """When it was heard, monotonic s."""
        return next((at for at, _ in self._alarms(node, words, since)), None)

    def _alarms(self, node: str, words: str, since: float) -> list[tuple[float, DiagnosticStatus]]:
        alarms = [
            (t, s) for t, s in list(self.told) if t >= since and s.name == node and s.level != DiagnosticStatus.OK
        ]
        return [(t, s) for t, s in alarms if words in s.message]

    def recovers(self) -> bool:
        """Whether the robot executes chunks (again)."""
        self.steps[:] = self.steps[-1:]
        try:
            self.wait(self.moving, "the robot to move again", 30.0)
        except CladError:
            return False
        return True


def _observations(contract: RobotContract) -> list[str]:
    return [*map(topics.image_topic, contract.cameras), topics.JOINT_STATES, topics.EE_POSE]


def _wires(wired: str, bridge: str, contract: RobotContract) -> tuple[dict[str, tuple], dict[str, list[str]]]:
    """Topic -> (message, QoS) of what is relayed, and node -> the topics that it hears through relays."""
    if wired == NODES:
        images = {topics.image_topic(camera): (Image, topics.IMAGE_QOS) for camera in contract.cameras}
        state = {
            topics.JOINT_STATES: (JointState, topics.STATE_QOS),
            topics.EE_POSE: (PoseStamped, topics.STATE_QOS),
        }
        inference = {
            topics.LATENT_FORESIGHT: (LatentForesight, topics.COMMANDING_QOS),
            topics.ACTION_CHUNK: (ActionChunk, topics.COMMANDING_QOS),
        }
        heard = {
            "planner": [*images, *state],
            "policy": [topics.LATENT_FORESIGHT],
            bridge: [topics.ACTION_CHUNK],
        }
        return {**images, **state, **inference}, heard
    if wired == DRIVER:
        images = {topic: (Image, topics.IMAGE_QOS) for topic in contract.driver.images.values()}
        relays = {**images, contract.driver.joint_states: (JointState, topics.STATE_QOS)}
        return relays, {bridge: [*relays]}
    return {}, {}


def _rewired(spec: NodeSpec, wires: list[str]) -> NodeSpec:
    return replace(spec, remappings=(*spec.remappings, *((topic, relayed(topic)) for topic in wires)))
