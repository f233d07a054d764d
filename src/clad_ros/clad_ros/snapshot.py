"""A snapshot of the running graph, taken by listening to it for some seconds; clad.health says what is wrong with it."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.srv import GetState
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState

from clad.contract import RobotContract, load_contract
from clad.errors import CladError
from clad.health import BRIDGES, Deaf, Snapshot, Stream
from clad.safety import State
from clad_interfaces.msg import ActionChunk, EpisodeStatus, ExecutedAction, LatentForesight, SafetyStatus
from clad_ros import topics
from clad_ros.domain import domain_of_graph

DISCOVERY = 1.5  # s until the graph is taken to be known
ANSWER = 2.0  # s that a node has to answer
SETTINGS = ("contract", "model", "real_time_factor")
_HEARTBEAT = topics.heartbeat_topic("")


def take(seconds: float = 3.0) -> tuple[Snapshot, RobotContract]:
    """What is to be seen and heard within `seconds`, and the contract that the bridge was started with.

    Disturbs nothing: it only listens, and asks for states and parameters. Raises UsageError when several graphs run here.
    """
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_of_graph())
    node = rclpy.create_node("clad_doctor", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        return _Reader(node, executor).read(seconds)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


class _Reader:
    def __init__(self, node: Node, executor: SingleThreadedExecutor) -> None:
        self._node, self._executor = node, executor
        self._heard: Counter[str] = Counter()
        self._last: dict[str, Any] = {}
        self._statuses: dict[str, tuple[int, str]] = {}

    def read(self, seconds: float) -> tuple[Snapshot, RobotContract]:
        self._spin(DISCOVERY)
        names = self._names()
        parameters = {name: self._parameters(name) for name in names}
        contract = self._contract(parameters)
        types = self._listen(contract)
        states = {name: self._state(name) for name in names}
        self._heard.clear()
        self._spin(seconds)
        episode = self._last.get(topics.EPISODE)
        running = episode is not None and episode.phase == EpisodeStatus.RUNNING
        mode = "" if episode is None else episode.mode
        safety = self._last.get(topics.SAFETY_STATUS)
        joints, pose = self._last.get(topics.JOINT_STATES), self._last.get(topics.EE_POSE)
        images = {t: self._last[t] for t in map(topics.image_topic, contract.cameras) if t in self._last}
        models = {"planner": topics.LATENT_FORESIGHT, "policy": topics.ACTION_CHUNK}
        return Snapshot(
            seconds=seconds,
            nodes=states,
            streams=tuple(self._streams(contract, parameters, states, running and mode == "free-run")),
            deaf=tuple(deaf for topic in types for deaf in self._deaf(topic)),
            parameters=parameters,
            statuses=self._statuses,
            running=running,
            mode=mode,
            safety=None if safety is None else (safety.state >= State.HOLD, tuple(safety.reasons)),
            joint_names=None if joints is None else tuple(joints.name),
            image_sizes={topic: (m.height, m.width, m.encoding) for topic, m in images.items()},
            ee_frame_id=None if pose is None else pose.header.frame_id,
            model_ids={node: self._last[topic].model_id for node, topic in models.items() if topic in self._last},
        ), contract

    # --- asking

    def _names(self) -> list[str]:
        """Nodes with a heartbeat."""
        tail = _HEARTBEAT.rsplit("/", 1)[1]
        return sorted(
            topic.split("/")[1]
            for topic, _ in self._node.get_topic_names_and_types()
            if topic.rsplit("/", 1)[1] == tail and self._node.count_publishers(topic)
        )

    def _state(self, name: str) -> str:
        answer = self._ask(GetState, f"/{name}/get_state", GetState.Request())
        return "" if answer is None else answer.current_state.label

    def _parameters(self, name: str) -> dict[str, Any]:
        kinds = {ParameterType.PARAMETER_STRING: "string_value", ParameterType.PARAMETER_DOUBLE: "double_value"}
        given = {}
        for setting in SETTINGS:  # one by one: a node answers nothing at all where it lacks one of several
            answer = self._ask(GetParameters, f"/{name}/get_parameters", GetParameters.Request(names=[setting]))
            if answer is None:
                break
            given |= {setting: getattr(value, kinds[value.type]) for value in answer.values if value.type in kinds}
        return given

    def _ask(self, service: type, name: str, request) -> Any:
        client = self._node.create_client(service, name)
        deadline = time.monotonic() + ANSWER
        while not client.service_is_ready() and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.05)
        answer = None
        while answer is None and time.monotonic() < deadline:
            # again after a while: a server that has not discovered its client yet answers into the void
            future, again = client.call_async(request), min(deadline, time.monotonic() + ANSWER / 4)
            while not future.done() and time.monotonic() < again:
                self._executor.spin_once(timeout_sec=0.05)
            answer = future.result() if future.done() else None
        self._node.destroy_client(client)
        return answer

    def _contract(self, parameters: dict[str, dict[str, Any]]) -> RobotContract:
        for name in (*BRIDGES, *parameters):
            if given := parameters.get(name, {}).get("contract"):
                try:
                    return load_contract(given)
                except CladError:
                    continue  # its node says so itself
        return load_contract("libero")

    # --- listening

    def _spin(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def _listen(self, contract: RobotContract) -> dict[str, type]:
        """Subscribe to everything of interest, best effort, which hears whoever publishes."""
        types: dict[str, type] = {
            topics.CLOCK: Clock,
            topics.JOINT_STATES: JointState,
            topics.EE_POSE: PoseStamped,
            topics.EPISODE: EpisodeStatus,
            topics.EXECUTED_ACTION: ExecutedAction,
            topics.LATENT_FORESIGHT: LatentForesight,
            topics.ACTION_CHUNK: ActionChunk,
            topics.SAFETY_STATUS: SafetyStatus,
            **{topics.image_topic(camera): Image for camera in contract.cameras},
        }
        for topic, kind in types.items():
            latched = topic in (topics.EPISODE, topics.SAFETY_STATUS)
            qos = QoSProfile(
                depth=10,
                reliability=ReliabilityPolicy.RELIABLE if latched else ReliabilityPolicy.BEST_EFFORT,
                durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
            )
            self._node.create_subscription(kind, topic, partial(self._take, topic), qos)
        self._node.create_subscription(
            DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.DIAGNOSTICS_QOS
        )
        return types

    def _take(self, topic: str, message) -> None:
        self._heard[topic] += 1
        self._last[topic] = message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._statuses[status.name] = (status.level[0], status.message)

    def _streams(self, contract: RobotContract, parameters, states, free_run: bool):
        robot = "robot_bridge" in states
        factor = parameters.get("sim_bridge", {}).get("real_time_factor", 1.0)
        rate = contract.control_rate * (1.0 if robot else factor) if robot or free_run else None

        def stream(topic: str, **more) -> Stream:
            publishers = tuple(p.node_name for p in self._node.get_publishers_info_by_topic(topic))
            heard = max(self._heard[topic], topic == topics.EPISODE and topic in self._last)  # latched: told once
            return Stream(topic=topic, publishers=publishers, heard=heard, **more)

        if "sim_bridge" in states:
            yield stream(topics.CLOCK)
        for camera in contract.cameras:
            yield stream(topics.image_topic(camera), always=robot)
        yield stream(topics.JOINT_STATES, always=robot, rate=rate)
        yield stream(topics.EE_POSE, always=robot, rate=rate)
        yield stream(topics.EPISODE)
        for topic in (topics.LATENT_FORESIGHT, topics.ACTION_CHUNK, topics.EXECUTED_ACTION):
            yield stream(topic)

    def _deaf(self, topic: str):
        own = self._node.get_name()
        for p in self._node.get_publishers_info_by_topic(topic):
            for s in self._node.get_subscriptions_info_by_topic(topic):
                compatible, reason = qos_check_compatible(p.qos_profile, s.qos_profile)
                if compatible == QoSCompatibility.ERROR and s.node_name != own:
                    words = " ".join(reason.replace("ERROR: ", "").split()).rstrip(";")
                    yield Deaf(topic=topic, publisher=p.node_name, subscriber=s.node_name, reason=words)
