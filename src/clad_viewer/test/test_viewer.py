"""The viewer in a graph: hears what is published, also before it came, and holds nobody up."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time

import pytest
import rclpy
from rclpy.node import Node

from clad.contract import load_contract
from clad_interfaces.msg import EpisodeStatus, ExecutedAction
from clad_ros import topics
from clad_ros.convert import image_to_message
from clad_ros.stamps import SECOND, time_msg

if importlib.util.find_spec("rerun") is None:
    pytest.skip("rerun-sdk is not installed", allow_module_level=True)

import numpy as np

CONTRACT = load_contract("libero")
PICTURE = image_to_message(np.zeros((128, 128, 3), np.uint8), SECOND, "camera")


def action(step: int) -> ExecutedAction:
    message = ExecutedAction(episode=1, step=step, names=list(CONTRACT.action.names), values=[0.5] * 7, source=1)
    message.header.stamp = time_msg(SECOND + step * SECOND // 20)
    return message


@pytest.fixture
def planner(graph):
    """Somebody of the planner's name and with its parameter, of which the viewer learns the robot."""
    node = rclpy.create_node("planner")
    node.declare_parameter("contract", "libero")
    yield node
    node.destroy_node()


@pytest.fixture
def watch(tmp_path):
    """`clad watch --save` in this domain, and the file."""
    file = tmp_path / "seen.rrd"
    command = [sys.executable, "-m", "clad", "watch", "--no-page", "--save", str(file)]
    env = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    yield process, file
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def seen(file) -> dict[str, int]:
    """Entity -> rows with a time."""
    from rerun.chunk import RrdReader

    found: dict[str, int] = {}
    for chunk in RrdReader(file).stream().to_chunks():
        if not chunk.is_static:
            name = chunk.entity_path.lstrip("/")
            found[name] = found.get(name, 0) + chunk.num_rows
    return found


def test_it_learns_the_robot_and_hears_every_signal_and_what_was_latched(graph, planner: Node, watch):
    process, file = watch
    episodes = graph.publisher(EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS, subscribers=0)
    episodes.publish(EpisodeStatus(episode=1, phase=1, instruction="put it away", max_steps=520))
    actions = graph.publisher(ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS, subscribers=0)
    pictures = graph.publisher(type(PICTURE), topics.image_topic("agentview"), topics.IMAGE_QOS, subscribers=0)

    def heard() -> bool:
        rclpy.spin_once(planner, timeout_sec=0.0)
        return all(p.get_subscription_count() for p in (episodes, actions, pictures))

    graph.wait(heard, "the viewer to subscribe")
    for step in range(20):
        actions.publish(action(step))
        if step % 10 == 0:
            pictures.publish(PICTURE)
    graph.wait(lambda: file.is_file() and seen_all(file), "the file to hold what was published")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    found = seen(file)
    assert found["action/dx/executed"] == 20 and found["state/episode"] == 1
    assert 1 <= found["camera/agentview"] <= 2  # at most 10 a second


def seen_all(file) -> bool:
    try:
        found = seen(file)
    except RuntimeError:  # its last record is being written
        return False
    return found.get("action/gripper/executed", 0) >= 20 and "camera/agentview" in found


def test_a_viewer_that_hangs_holds_no_publisher_up(graph, planner: Node, watch):
    process, _ = watch
    pictures = graph.publisher(type(PICTURE), topics.image_topic("agentview"), topics.IMAGE_QOS, subscribers=0)
    episodes = graph.publisher(EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS, subscribers=0)

    def heard() -> bool:
        rclpy.spin_once(planner, timeout_sec=0.0)
        return pictures.get_subscription_count() and episodes.get_subscription_count()

    graph.wait(heard, "the viewer to subscribe")
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        begun = time.process_time(), time.monotonic()
        for _ in range(300):  # a publisher that waited would wait 0.1 s each time, by the middleware's default
            pictures.publish(PICTURE)
            episodes.publish(EpisodeStatus(episode=1, phase=1))
        busy, taken = time.process_time() - begun[0], time.monotonic() - begun[1]
    finally:
        os.killpg(process.pid, signal.SIGCONT)
    assert busy < 5.0 and taken < 20.0
