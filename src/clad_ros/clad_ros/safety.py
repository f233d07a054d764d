"""The safety filter as a bridge has it: judged commands, `/safety_status`, the emergency stop, speed and dry run as parameters.

A bridge declares the parameters in its __init__ (`declare_safety`), makes a SafetyMonitor at configure and calls `step` once a
control step; everything else happens here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rcl_interfaces.msg import SetParametersResult
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from clad.contract import RobotContract
from clad.errors import UsageError
from clad.safety import Measured, Reason, SafetyFilter, State, Verdict
from clad.safety.types import Command
from clad_interfaces.msg import SafetyStatus
from clad_ros import topics
from clad_ros.diagnostics import ERROR, OK, WARN, Diagnostics
from clad_ros.node import CladNode
from clad_ros.stamps import time_msg

_QUIET = {(Reason.NO_COMMAND,), (Reason.BLEND_IN,)}  # part of every episode's life


def declare_safety(node: CladNode) -> None:
    """The parameters speed_scale and dry_run; both may be set while the arm moves."""
    node.setting("speed_scale", 1.0, "share of the contract's velocity limits, in (0, 1]; may be set while moving")
    node.setting("dry_run", False, "judge every command, but hold the arm; may be set while moving")


class SafetyMonitor:
    """Judges commands for one arm and tells what it decided. Call on the node's thread only.

    clamped, held: control steps of this episode that were changed, and held or stopped; reasons: why, each once, in the
    order in which they came. Steps without a command are the bridge's holds and are not counted here.
    """

    def __init__(
        self,
        node: CladNode,
        contract: RobotContract,
        *,
        forward: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """forward: as in SafetyFilter. Raises CladError for a contract without limits, UsageError for a wrong parameter."""
        self._node, self._filter = node, SafetyFilter(contract, forward=forward)
        self._full_speed = contract.limits.speed_scale
        self._set_speed(node.value("speed_scale"))
        self._filter.dry_run = node.value("dry_run")
        self._diagnostics = Diagnostics(node, part="safety")
        self._publisher = node.create_lifecycle_publisher(SafetyStatus, topics.SAFETY_STATUS, topics.SAFETY_STATUS_QOS)
        self._stop_topic = node.create_subscription(Bool, topics.ESTOP, self._on_stop_topic, topics.ESTOP_QOS)
        self._services = [
            node.create_service(Trigger, topics.EMERGENCY_STOP, self._on_stop),
            node.create_service(Trigger, topics.RESET_SAFETY, self._on_reset),
        ]
        node.add_on_set_parameters_callback(self._on_parameters)
        self._told: tuple[State, tuple[Reason, ...]] | None = None
        self._since = self._now = 0
        self.begin()

    def begin(self) -> None:
        """A new episode: counts from zero, and begins from rest where the arm is measured. A latched stop stays."""
        self._filter.restart()
        self.clamped = self.held = 0
        self.reasons: list[str] = []

    def step(self, command: Command | None, measured: Measured | None, now: int) -> Verdict:
        """As SafetyFilter.step; a change of state or reasons is published at once."""
        verdict = self._filter.step(command, measured, now)
        self._now = now
        if verdict.reasons not in _QUIET:
            self.clamped += verdict.state == State.CLAMP
            self.held += verdict.stopped
            self.reasons += [str(r) for r in verdict.reasons if str(r) not in self.reasons]
        if (verdict.state, verdict.reasons) != self._told:
            self._tell(verdict.state, verdict.reasons)
        return verdict

    def stop(self) -> None:
        """Emergency stop, latched until /reset_safety.

        Told each time: a node that is not active yet is stopped, but cannot tell it, and whoever presses on has not heard it.
        """
        if not self._filter.estopped:
            self._filter.estop()
        self._tell(State.ESTOP, (Reason.ESTOP,))

    def destroy(self) -> None:
        self._node.remove_on_set_parameters_callback(self._on_parameters)
        for service in self._services:
            self._node.destroy_service(service)
        self._node.destroy_subscription(self._stop_topic)
        self._node.destroy_lifecycle_publisher(self._publisher)
        self._diagnostics.destroy()

    # --- internals

    def _tell(self, state: State, reasons: tuple[Reason, ...]) -> None:
        if self._told is None or self._told[0] != state:
            self._since = self._now
        self._told = (state, reasons)
        message = SafetyStatus(
            state=int(state),
            reasons=[str(r) for r in reasons],
            since=time_msg(self._since),
            clamped_steps=self.clamped,
            held_steps=self.held,
        )
        message.header.stamp = time_msg(self._now)
        self._publisher.publish(message)
        words = ", ".join(map(str, reasons))
        values = {"clamped_steps": self.clamped, "held_steps": self.held}
        if state == State.PASS or reasons == (Reason.BLEND_IN,):
            self._diagnostics.report(OK, "commands pass", **values)
        elif state == State.ESTOP:
            self._diagnostics.report(ERROR, f"emergency stop; release it with {topics.RESET_SAFETY}", **values)
        elif state == State.CLAMP or reasons in _QUIET:
            self._diagnostics.report(WARN, f"{'clamping' if state == State.CLAMP else 'holding'}: {words}", **values)
        else:
            self._diagnostics.report(ERROR, f"holding: {words}", **values)

    def _set_speed(self, scale: float) -> None:
        if not 0 < scale <= 1:
            raise UsageError(
                f"speed_scale {scale} is outside (0, 1]", "1 is full speed; to stop use the emergency stop"
            )
        self._filter.speed_scale = self._full_speed * scale

    def _on_stop_topic(self, message: Bool) -> None:
        if message.data:  # false releases nothing: that takes the service
            self.stop()

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.stop()
        response.success, response.message = True, f"stopped until {topics.RESET_SAFETY}"
        return response

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._filter.reset()
        if not response.success:
            response.message = "the arm is still braking; call again when it stands"
        elif self._told is not None and self._told[0] == State.ESTOP:
            self._tell(State.HOLD, (Reason.NO_COMMAND,))
        return response

    def _on_parameters(self, parameters) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == "speed_scale":
                try:
                    self._set_speed(parameter.value)
                except UsageError as error:
                    return SetParametersResult(successful=False, reason=str(error))
            elif parameter.name == "dry_run":
                self._filter.dry_run = parameter.value
        return SetParametersResult(successful=True)
