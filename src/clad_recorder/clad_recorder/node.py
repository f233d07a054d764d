"""Recorder node: every topic of the graph into a rosbag2 MCAP bag, between /start_recording and /stop_recording."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import yaml
from rclpy.clock import Clock, ClockType
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from clad.errors import CladError
from clad.eval.machine import versions
from clad_interfaces.srv import StartRecording, StopRecording
from clad_recorder.bag import FLUSH_PERIOD, BagWriter, Topic
from clad_recorder.schemas import message_schema
from clad_ros import topics
from clad_ros.node import CladNode, run_node

DISCOVERY_PERIOD = 0.2  # s between looks at the graph
MATCH_TIMEOUT = 2.0  # s that a start waits for new subscriptions to be connected
QUIET, LONGEST_WAIT = 0.2, 1.0  # s without a message after which a bag may end, and s after which it ends anyway
DEPTH = 200  # messages of a topic that may wait for the executor


class Recording:
    """One open bag and the thread that writes it. Messages are dropped, and counted, when `capacity` of them wait."""

    def __init__(
        self,
        path: Path,
        metadata: dict[str, str],
        known: list[Topic],
        capacity: int,
        failed: Callable[[str], None],
    ) -> None:
        """failed: told the reason, from the writing thread, when the disk takes no more."""
        self._writer, self._failed = BagWriter(path, metadata), failed
        for topic in known:
            self._writer.add_topic(topic)
        self._queue: queue.Queue = queue.Queue(capacity)
        self.dropped = 0
        self.failure = ""
        # daemon: a node that could not close its bag must end nevertheless, and with it its hold on the file
        self._thread = threading.Thread(target=self._write, name="bag writer", daemon=True)
        self._thread.start()

    def put(self, item: Topic | tuple[str, int, int, bytes]) -> None:
        """A new topic, or a message: (topic, received, published, data)."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.dropped += 1

    def close(self) -> int:
        """Write what waits, close the bag; returns the messages in it."""
        self._queue.put(None)
        self._thread.join()
        if not self.failure:
            self._attempt(self._writer.close)
        if self.failure:
            self._writer.abandon()
        return self._writer.messages

    def _write(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=FLUSH_PERIOD)
            except queue.Empty:
                item = ()
            if item is None:
                return
            if self.failure:
                self.dropped += bool(item)
            elif isinstance(item, Topic):
                self._attempt(self._writer.add_topic, item)
            elif item:
                self._attempt(self._writer.write, *item)
            else:
                self._attempt(self._writer.flush)

    def _attempt(self, work: Callable, *arguments) -> None:
        """A full disk must not block the graph, nor end the recorder: say so at once, and drop what comes."""
        try:
            work(*arguments)
        except OSError as error:
            self.failure = f"{self._writer.path}: {error.strerror}"
            self._failed(self.failure)


class RecorderNode(CladNode):
    """Subscribed to everything from the moment it appears, recording or not, so that a bag begins without a gap.

    Latched topics: their last message is kept and opens every bag, as for anyone who joins the graph then.
    """

    def __init__(self) -> None:
        super().__init__("recorder")
        self.setting("root", ".", "bags are written below this directory and nowhere else")
        self.setting("capacity", 4000, "messages that may wait for the disk before some are dropped")
        self._known: dict[str, Topic] = {}
        self._subscribed: dict[str, Subscription] = {}
        self._latched: dict[str, tuple[str, int, int, bytes]] = {}
        self._unrecordable: set[str] = set()
        self._recording: Recording | None = None
        self._offers = []

    def configure(self) -> None:
        self._root = Path(self.value("root")).absolute()
        if self.value("capacity") < 1:
            raise CladError("capacity must be at least 1", "4000 is the default")
        self._offers = [
            self.create_service(StartRecording, topics.START_RECORDING, self._on_start),
            self.create_service(StopRecording, topics.STOP_RECORDING, self._on_stop),
        ]
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(DISCOVERY_PERIOD, self._discover, clock=steady)

    def release(self) -> None:
        if not self._offers:
            return
        self._close()
        for service in self._offers:
            self.destroy_service(service)
        self._offers = []
        self.destroy_timer(self._timer)
        for subscription in self._subscribed.values():
            self.destroy_subscription(subscription)
        self._subscribed.clear()
        self._known.clear()

    def deactivate(self) -> None:
        self._close()

    # --- subscriptions

    def _discover(self) -> None:
        """Subscribe to what is new in the graph."""
        for name, types in self.get_topic_names_and_types(no_demangle=False):
            hidden = any(part.startswith("_") for part in name.split("/"))
            if name in self._subscribed or name in self._unrecordable or hidden:
                continue
            publishers = self.get_publishers_info_by_topic(name)
            if not publishers:
                continue
            try:
                schema = message_schema(types[0])
            except CladError as error:
                self._unrecordable.add(name)
                self.diagnostics.warn(f"{name} is not recorded: {error}")
                continue
            offered = [p.qos_profile for p in publishers]
            topic = Topic(name=name, type=types[0], schema=schema.text, type_hash=schema.hash, qos=_qos_text(offered))
            self._known[name] = topic
            if self._recording is not None:
                self._recording.put(topic)
            self._subscribed[name] = self._subscribe(topic, offered)

    def _unmatched(self) -> bool:
        """Whether a subscription still waits for its connection to a publisher that the graph shows."""
        return any(s.get_publisher_count() < self.count_publishers(name) for name, s in self._subscribed.items())

    def _subscribe(self, topic: Topic, offered: list[QoSProfile]) -> Subscription:
        """With the strongest QoS that every publisher offers."""
        reliable = all(q.reliability == ReliabilityPolicy.RELIABLE for q in offered)
        latched = all(q.durability == DurabilityPolicy.TRANSIENT_LOCAL for q in offered)
        package, _, short = topic.type.split("/")
        name = topic.name

        def receive(data: bytes, info: dict) -> None:
            item = (name, time.time_ns(), info["source_timestamp"], data)
            if latched:
                self._latched[name] = item
            if self._recording is not None:
                self._recording.put(item)

        qos = QoSProfile(
            depth=DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        return self.create_subscription(getattr(import_module(f"{package}.msg"), short), name, receive, qos, raw=True)

    def _drain(self) -> bool:
        """Take what the middleware holds already: a bag begins where its service was called. Whether there was anything."""
        any_taken = False
        for subscription in self._subscribed.values():
            handle = subscription.handle
            with handle:
                while (taken := handle.take_message(subscription.msg_type, True)) is not None:
                    subscription.callback(*taken)
                    any_taken = True
        return any_taken

    def _drain_until_quiet(self) -> None:
        """Also take what is still under way: a service call may overtake messages that were published before it."""
        started = last = time.monotonic()
        while (now := time.monotonic()) - last < QUIET and now - started < LONGEST_WAIT:
            if self._drain():
                last = now
            time.sleep(0.005)

    # --- services

    def _on_start(self, request: StartRecording.Request, response: StartRecording.Response) -> StartRecording.Response:
        try:
            self._start(request)
        except (CladError, OSError, ValueError) as error:  # ValueError: a path with a null character
            response.message = str(error)
            return response
        response.success = True
        return response

    def _start(self, request: StartRecording.Request) -> None:
        if not self.active:
            raise CladError("the recorder is not active", "Activate it first")
        if self._recording is not None:
            raise CladError("a recording is in progress", "Call /stop_recording first")
        if len(request.metadata_keys) != len(request.metadata_values):
            raise CladError(
                f"{len(request.metadata_keys)} metadata keys for {len(request.metadata_values)} values",
                "Give a value a key",
            )
        path = (self._root / request.uri).resolve()
        if not request.uri or not path.is_relative_to(self._root.resolve()) or path == self._root.resolve():
            raise CladError(
                f"'{request.uri}' does not lie below {self._root}", "Bags are written below the parameter root"
            )
        metadata = dict(zip(request.metadata_keys, request.metadata_values))
        metadata = {"started": f"{time.time():.3f}", **{f"version.{k}": v for k, v in versions().items()}, **metadata}
        self._discover()
        deadline = time.monotonic() + MATCH_TIMEOUT
        while self._unmatched() and time.monotonic() < deadline:  # discovery goes on in the middleware's threads
            time.sleep(0.005)
        self._drain()
        self._recording = Recording(
            path, metadata, list(self._known.values()), self.value("capacity"), self._recording_failed
        )
        for name, _, published, data in self._latched.values():  # received now, or the bag would seem to begin earlier
            self._recording.put((name, time.time_ns(), published, data))
        self.diagnostics.ok(f"recording {path.name}", topics=len(self._known))

    def _recording_failed(self, reason: str) -> None:
        self.diagnostics.error(f"recording failed: {reason}")

    def _on_stop(self, request: StopRecording.Request, response: StopRecording.Response) -> StopRecording.Response:
        if self._recording is None:
            response.message = "nothing is being recorded"
            return response
        recording = self._recording
        response.messages = self._close()
        response.dropped = recording.dropped
        response.success = not recording.failure
        response.message = recording.failure
        return response

    def _close(self) -> int:
        """End the recording, if there is one, with all that has arrived; returns its messages."""
        if self._recording is None:
            return 0
        try:
            if self.context.ok():
                self._drain_until_quiet()
        finally:  # a signal, or a context that goes away meanwhile, must not leave the bag open
            recording, self._recording = self._recording, None
            messages = recording.close()
        if recording.failure:
            self.diagnostics.error(f"recording failed: {recording.failure}", dropped=recording.dropped)
        elif recording.dropped:
            self.diagnostics.warn(
                f"{recording.dropped} messages were dropped: the disk was too slow", messages=messages
            )
        else:
            self.diagnostics.ok("idle", messages=messages)
        return messages


def _qos_text(profiles: list[QoSProfile]) -> str:
    """Offered profiles as rosbag2 (version 9) writes them."""

    def duration(d) -> dict[str, int]:
        sec, nsec = divmod(min(d.nanoseconds, 2**63 - 1), 10**9)
        return {"sec": sec, "nsec": nsec}

    return yaml.safe_dump(
        [
            {
                "history": p.history.name.lower(),
                "depth": p.depth,
                "reliability": p.reliability.name.lower(),
                "durability": p.durability.name.lower(),
                "deadline": duration(p.deadline),
                "lifespan": duration(p.lifespan),
                "liveliness": p.liveliness.name.lower(),
                "liveliness_lease_duration": duration(p.liveliness_lease_duration),
                "avoid_ros_namespace_conventions": p.avoid_ros_namespace_conventions,
            }
            for p in profiles
        ],
        sort_keys=False,
    )


def main() -> None:
    sys.exit(run_node(RecorderNode))
