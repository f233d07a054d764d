"""The safety monitor on a node of its own, over real DDS: stop and reset, parameters, what is told and when."""

from __future__ import annotations

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from clad.contract import load_contract
from clad.safety import CartesianCommand, Measured, State
from clad_interfaces.msg import SafetyStatus
from clad_ros import topics
from clad_ros.node import CladNode
from clad_ros.safety import SafetyMonitor, declare_safety
from clad_ros.testing import open_graph

CONTRACT = load_contract("libero")
PERIOD = 50_000_000


class Arm(CladNode):
    """A bridge with nothing behind it."""

    def __init__(self) -> None:
        super().__init__("arm")
        declare_safety(self)

    def configure(self) -> None:
        self.safety = SafetyMonitor(self, CONTRACT)

    def release(self) -> None:
        self.safety.destroy()


class Rig:
    """The arm, an executor that both nodes share, and a clock."""

    def __init__(self, graph) -> None:
        self.graph, self.arm, self.now = graph, Arm(), 10**9
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.arm)
        self.executor.add_node(graph.node)
        self.arm.trigger_configure()
        self.arm.trigger_activate()

    def wait(self, condition, what):
        for _ in range(1000):
            if condition():
                return
            self.executor.spin_once(timeout_sec=0.02)
        raise AssertionError(f"waited in vain for {what}")

    def call(self, service, name, **fields):
        client = self.graph.node.create_client(service, name)
        self.wait(client.service_is_ready, name)
        future = client.call_async(service.Request(**fields))
        self.wait(future.done, f"an answer of {name}")
        return future.result()

    def step(self, speed=0.1, z=1.0):
        self.now += PERIOD
        measured = Measured(
            stamp=self.now,
            joint_position=np.zeros(7),
            ee_position=np.array([-0.2, 0.0, z]),
            ee_quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
        )
        command = CartesianCommand(linear=np.array([speed, 0.0, 0.0]), angular=np.zeros(3))
        return self.arm.safety.step(command, measured, self.now)


@pytest.fixture
def rig():
    with open_graph() as graph:
        rig = Rig(graph)
        yield rig
        rig.executor.shutdown()
        rig.arm.release()
        rig.arm.destroy_node()


def test_what_is_stopped_is_told_and_stays_stopped_until_reset(rig):
    told, health = [], []
    node = rig.graph.node
    node.create_subscription(SafetyStatus, topics.SAFETY_STATUS, told.append, topics.SAFETY_STATUS_QOS)
    node.create_subscription(
        DiagnosticArray, topics.DIAGNOSTICS, lambda m: health.extend(m.status), topics.DIAGNOSTICS_QOS
    )
    assert rig.step().state == State.PASS
    rig.wait(lambda: told and told[-1].state == SafetyStatus.PASS, "the first status")
    assert rig.step(speed=np.nan).stopped
    rig.wait(lambda: told[-1].state == SafetyStatus.HOLD, "the hold")
    assert list(told[-1].reasons) == ["nan_command"] and told[-1].held_steps == 1
    rig.wait(lambda: any(s.message == "holding: nan_command" for s in health), "the hold in the diagnostics")
    alarm = next(s for s in health if s.message == "holding: nan_command")
    assert alarm.name == "arm: safety" and alarm.level == DiagnosticStatus.ERROR
    assert rig.step().state == State.PASS

    button = node.create_publisher(Bool, topics.ESTOP, topics.ESTOP_QOS)
    rig.wait(lambda: button.get_subscription_count() > 0, "the listener of /estop")
    button.publish(Bool(data=True))
    rig.wait(lambda: told[-1].state == SafetyStatus.ESTOP, "the emergency stop")
    button.publish(Bool(data=False))  # releases nothing
    for _ in range(5):
        rig.executor.spin_once(timeout_sec=0.05)
        assert rig.step().state == State.ESTOP
    assert rig.call(Trigger, topics.RESET_SAFETY).success
    assert rig.step().state == State.PASS
    assert rig.arm.safety.reasons == ["nan_command", "estop"]

    assert rig.call(Trigger, topics.EMERGENCY_STOP).success
    rig.arm.safety.begin()  # a new episode releases nothing
    assert rig.step().state == State.ESTOP and rig.arm.safety.held == 1


def test_speed_and_dry_run_may_be_set_while_it_moves(rig):
    def put(name, value):
        kind = ParameterType.PARAMETER_BOOL if isinstance(value, bool) else ParameterType.PARAMETER_DOUBLE
        fields = {"bool_value": value} if isinstance(value, bool) else {"double_value": value}
        parameter = Parameter(name=name, value=ParameterValue(type=kind, **fields))
        return rig.call(SetParameters, "/arm/set_parameters", parameters=[parameter]).results[0]

    assert rig.step(speed=0.8).state == State.PASS
    assert put("speed_scale", 0.5).successful
    verdict = rig.step(speed=0.8)
    assert verdict.state == State.CLAMP and verdict.command.linear[0] == pytest.approx(0.5)
    refused = put("speed_scale", 0.0)
    assert not refused.successful and "outside (0, 1]" in refused.reason
    assert rig.step(speed=0.4).state == State.PASS
    assert put("dry_run", True).successful
    verdict = rig.step(speed=0.4)
    assert verdict.stopped and verdict.reasons == ("dry_run",) and not verdict.command.linear.any()


def test_the_last_status_waits_for_who_comes_late(rig):
    rig.step(speed=np.inf)
    late = []
    rig.graph.node.create_subscription(SafetyStatus, topics.SAFETY_STATUS, late.append, topics.SAFETY_STATUS_QOS)
    rig.wait(lambda: late, "the latched status")
    assert list(late[0].reasons) == ["nan_command"]
    assert rclpy.ok()
