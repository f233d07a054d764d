"""The manager over real DDS, with small nodes as processes of their own: order, refusal, loss, return."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from hypothesis import given
from hypothesis import strategies as st
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from std_msgs.msg import Bool

from clad_interfaces.msg import SafetyStatus
from clad_manager.node import UNANSWERED, Manager
from clad_manager.order import ACTIVE, AFTER, INACTIVE, REFUSED, UNCONFIGURED, next_transitions
from clad_ros import topics

ORDER = ["a", "b", "c"]


@given(
    st.fixed_dictionaries(
        {n: st.sampled_from([UNCONFIGURED, INACTIVE, ACTIVE, "unknown", "gone", REFUSED]) for n in ORDER}
    )
)
def test_whatever_the_states_no_node_is_activated_before_those_that_come_first(states):
    due = next_transitions(states, ORDER)
    for name, transition in due:
        assert (transition, states[name]) in (("configure", UNCONFIGURED), ("activate", INACTIVE))
        if transition == "activate":
            assert all(states[n] == ACTIVE for n in ORDER[: ORDER.index(name)]) and UNCONFIGURED not in states.values()


@given(st.fixed_dictionaries({n: st.sampled_from([UNCONFIGURED, INACTIVE, ACTIVE]) for n in ORDER}))
def test_from_any_sound_state_everything_comes_up(states):
    for _ in range(len(ORDER) + 1):
        for name, transition in next_transitions(states, ORDER):
            states[name] = AFTER[transition]
    assert set(states.values()) == {ACTIVE}


@pytest.fixture
def small():
    """Starts small nodes; all of them are gone at the end."""
    started = []

    def start(name: str, *more: str) -> subprocess.Popen:
        script = Path(__file__).with_name("small_node.py")
        started.append(subprocess.Popen([sys.executable, str(script), name, *more], stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def manager(graph, **parameters):
    return graph.start("clad_manager", "manager_node", nodes=["first", "second"], **parameters)


def test_a_lost_node_stops_the_arm_and_is_brought_up_again_when_it_is_back(graph, small):
    stops, health = [], []
    status = graph.node.create_publisher(SafetyStatus, topics.SAFETY_STATUS, topics.SAFETY_STATUS_QOS)

    def on_stop(message):
        stops.append(time.monotonic())
        if len(stops) == 3:  # as a bridge that hears badly
            status.publish(SafetyStatus(state=SafetyStatus.ESTOP, reasons=["estop"]))

    button = graph.node.create_subscription(Bool, topics.ESTOP, on_stop, topics.ESTOP_QOS)
    graph.node.create_subscription(
        DiagnosticArray,
        topics.DIAGNOSTICS,
        lambda m: health.extend(s for s in m.status if s.name == "manager"),
        topics.DIAGNOSTICS_QOS,
    )
    process = manager(graph)
    second, first = small("second"), small("first")
    graph.wait(lambda: health and health[-1].message == "all nodes are active", "all nodes to be active")
    log = process.output
    assert "first, second" in log and not stops
    assert first.stdout.readline() == b"first is active\n" and second.stdout.readline() == b"second is active\n"

    second.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    graph.wait(lambda: len(stops) >= 3, "the emergency stop")
    assert stops[0] - killed < 10  # the lease is one second; the rest is this machine's
    graph.wait(lambda: "second is gone" in health[-1].message, "the news")
    assert health[-1].level == DiagnosticStatus.ERROR

    again = small("second")
    assert again.stdout.readline() == b"second is active\n"
    graph.wait(lambda: health[-1].message == "all nodes are active", "all nodes to be active again")
    assert len(stops) < 10  # it presses until it is heard, and no longer
    graph.node.destroy_subscription(button)
    assert process.end() == 0


def test_a_refusal_ends_the_start_with_the_nodes_own_words(graph, small):
    process = manager(graph)
    small("first"), small("second", "refuse")
    graph.wait(lambda: process.popen.poll() is not None, "the manager's end")
    assert process.popen.returncode == 1
    assert "manager: second: the model is broken. Take another" in process.output


def test_a_question_that_a_dead_process_took_with_it_is_given_up_and_its_late_answer_ignored(graph):
    node = Manager()
    try:
        managed = next(iter(node._nodes.values()))
        node._ask(managed, managed.get, GetState.Request(), node._on_state)  # nobody answers
        question = managed.pending
        node.on_heartbeat(managed, State(label=UNCONFIGURED))
        assert managed.pending is question  # it may still be answering
        managed.asked -= 2 * UNANSWERED
        node.on_heartbeat(managed, State(label=UNCONFIGURED))
        assert managed.pending is None and managed.state == UNCONFIGURED
        question.set_result(GetState.Response(current_state=State(label=ACTIVE)))
        rclpy.spin_once(node, timeout_sec=0.1)
        assert managed.state == UNCONFIGURED
    finally:
        node.destroy_node()


def test_wrong_parameters_are_refused(graph):
    process = manager(graph, on_loss="panic")
    graph.wait(lambda: process.popen.poll() is not None, "the manager's end")
    assert process.popen.returncode == 2 and "unknown on_loss 'panic'" in process.output
