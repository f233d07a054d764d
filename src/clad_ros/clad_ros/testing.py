"""Tests over real DDS: start nodes as processes, speak to them, wait for conditions. No test sleeps for luck.

A package's conftest.py imports the fixture `graph`; every test module gets a domain of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from ament_index_python.packages import get_package_prefix
from lifecycle_msgs.srv import GetState
from rclpy.qos import QoSProfile

from clad_ros.domain import own_domain

TIMEOUT = 120.0  # s: generous, because a test machine is shared; a condition that holds ends the wait at once


class Process:
    """A node in a process of its own; its output is kept."""

    def __init__(self, package: str, executable: str, parameters: dict[str, Any], folder: Path) -> None:
        file = folder / f"{executable}-{time.monotonic_ns()}.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
        self._log = file.with_suffix(".log")
        self.may_end = True
        program = Path(get_package_prefix(package)) / "lib" / package / executable
        with self._log.open("w") as log:
            self.popen = subprocess.Popen(
                [str(program), "--ros-args", "--params-file", str(file)],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "PASSIVE", "LP_NUM_THREADS": "1"},
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What the process has written so far."""
        return self._log.read_text()

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal and wait; returns the exit code."""
        self.may_end = True
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        try:
            return self.popen.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            raise AssertionError(f"the node did not end:\n{self.output}") from None


class Graph:
    """One domain: a node of the test's own, and the processes it starts."""

    def __init__(self, folder: Path) -> None:
        self.node = rclpy.create_node("probe")
        self._folder = folder
        self._processes: list[Process] = []

    def start(self, package: str, executable: str, name: str | None = None, **parameters: Any) -> Process:
        """Start a node; with a lifecycle `name`, wait until it is active; from then on every `wait` fails if it ends."""
        process = Process(package, executable, parameters, self._folder)
        self._processes.append(process)
        if name is not None:
            process.may_end = False
            client = self.node.create_client(GetState, f"/{name}/get_state")

            def is_active() -> bool:
                if not client.service_is_ready():
                    return False
                future = client.call_async(GetState.Request())
                rclpy.spin_until_future_complete(self.node, future, timeout_sec=1.0)
                return future.done() and future.result().current_state.label == "active"

            self.wait(is_active, f"{name} to be active")
            self.node.destroy_client(client)
        return process

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = TIMEOUT) -> None:
        """Handle messages until the condition holds; fails naming `what` when the time is over or a node has died."""
        deadline = time.monotonic() + timeout
        while not condition():
            for process in self._processes:
                if not process.may_end and process.popen.poll() is not None:
                    raise AssertionError(f"a node died while waiting for {what}:\n{process.output}")
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {what}:\n" + "\n".join(p.output for p in self._processes))
            rclpy.spin_once(self.node, timeout_sec=0.02)

    def call(self, service: type, name: str, **fields: Any) -> Any:
        """The response of a service."""
        client = self.node.create_client(service, name)
        self.wait(client.service_is_ready, name)
        future = client.call_async(service.Request(**fields))
        self.wait(future.done, f"an answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def collect(self, message: type, topic: str, qos: QoSProfile) -> list:
        """A list that grows with every message of a topic; the topic has its publisher when this returns."""
        received: list = []
        subscription = self.node.create_subscription(message, topic, received.append, qos)
        self.wait(lambda: subscription.get_publisher_count() > 0, f"a publisher of {topic}")
        return received

    def publisher(self, message: type, topic: str, qos: QoSProfile, subscribers: int = 1):
        """A publisher that has that many subscribers when this returns."""
        publisher = self.node.create_publisher(message, topic, qos)
        self.wait(lambda: publisher.get_subscription_count() >= subscribers, f"a subscriber of {topic}")
        return publisher

    def close(self) -> None:
        for process in self._processes:
            process.end(signal.SIGINT)
        self.node.destroy_node()


@contextmanager
def open_graph() -> Iterator[Graph]:
    """A graph in a domain of its own; at the end every process is gone."""
    with own_domain() as domain, tempfile.TemporaryDirectory(prefix="clad-test-") as folder:
        rclpy.init(domain_id=domain)
        graph = Graph(Path(folder))
        try:
            yield graph
        finally:
            graph.close()
            rclpy.shutdown()


@pytest.fixture(scope="module")
def graph() -> Iterator[Graph]:
    with open_graph() as opened:
        yield opened
