"""Robot bridge node: a real arm's driver behind the topics, units and frames that the simulator has.

Parameters, services, the action and the timer; what an episode does is in control.py. One thread runs everything.
"""

from __future__ import annotations

import sys

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType

from clad.contract import RobotContract, load_contract
from clad.contract.driver import CARTESIAN
from clad.errors import CladError, UsageError, unknown_name
from clad.robot.senses import Senses
from clad.runtime.bundle import load_bundle
from clad.runtime.execution import STRATEGIES, ChunkExecutor
from clad_interfaces.action import RunEpisode
from clad_interfaces.msg import ActionChunk, EpisodeStatus, LatentForesight
from clad_interfaces.srv import ResetEpisode, SetOutcome, Step
from clad_robot_bridge.control import Control
from clad_robot_bridge.episode import Run
from clad_robot_bridge.inputs import Inputs
from clad_robot_bridge.outputs import Outputs
from clad_ros import topics
from clad_ros.episodes import OUTCOMES, EpisodeServer
from clad_ros.node import CladNode, run_node
from clad_ros.partners import Partners
from clad_ros.safety import SafetyMonitor, declare_safety
from clad_ros.stamps import SECOND, control_period_ns, time_msg
from clad_ros.streams import Streams


class RobotBridge(CladNode):
    """One arm."""

    def __init__(self) -> None:
        super().__init__("robot_bridge")
        self.setting("contract", "fake", "the robot: a shipped contract's name or a YAML file, with a driver section")
        self.setting("instruction", "", "what the robot is told, of an episode that says nothing else")
        self.setting(
            "max_steps", 600, "control steps of an episode that says nothing else; then its outcome is timeout"
        )
        self.setting("execution", "hold", f"how chunks join: {', '.join(STRATEGIES)}")
        self.setting("execute_steps", 0, "execution sync: actions executed per chunk; 0: the model's")
        self.setting("listen", 10.0, "s that an episode waits for the arm and its cameras to be heard")
        self.setting("model", "", "the model bundle in which execute_steps 0 looks the number up")
        declare_safety(self)
        self._control: Control | None = None

    def configure(self) -> None:
        contract = load_contract(self.value("contract"))
        if contract.driver is None:
            raise UsageError(f"robot contract {contract.name} has no driver", "Choose a robot that has one, e.g. fake")
        if self.value("execution") not in STRATEGIES:
            raise unknown_name("execution", self.value("execution"), STRATEGIES)
        if self.value("max_steps") < 1:
            raise UsageError("max_steps must be at least 1", "600 is half a minute at 20 Hz")
        kinematics = _kinematics(contract)
        forward = kinematics and (lambda joints: kinematics.forward(joints)[0])
        execute_steps = self.value("execute_steps")
        if self.value("execution") == "sync" and not execute_steps:
            execute_steps = load_bundle(self.value("model")).execute_steps
        senses = Senses(contract)
        self._contract = contract
        self._safety = SafetyMonitor(self, contract, forward=forward)
        self._streams = Streams(self, contract)
        self._outputs = Outputs(self, contract)
        self._inputs = Inputs(self, contract, senses)
        self._status = self.create_lifecycle_publisher(EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS)
        self._partners = partners = Partners(self)
        self._control = control = Control(
            contract,
            senses=senses,
            inputs=self._inputs,
            outputs=self._outputs,
            streams=self._streams,
            status=self._status,
            diagnostics=self.diagnostics,
            kinematics=kinematics,
            safety=self._safety,
            partners=partners,
            listen=self.value("listen"),
            new_executor=lambda: ChunkExecutor(self.value("execution"), contract.action, execute_steps=execute_steps),
        )
        self._chunks = [
            self.create_subscription(
                LatentForesight,
                topics.LATENT_FORESIGHT,
                control.on_foresight,
                topics.EVERY_FORESIGHT_QOS,
                event_callbacks=partners.watch("planner"),
            ),
            self.create_subscription(
                ActionChunk,
                topics.ACTION_CHUNK,
                lambda m: control.on_chunk(m, self._now()),
                topics.INFERENCE_QOS,
                event_callbacks=partners.watch("policy"),
            ),
        ]
        self._offers = [
            # a group of its own: its answer waits for the arm to be home, and nothing else must wait with it
            self.create_service(
                ResetEpisode, topics.RESET_EPISODE, self._on_reset, callback_group=ReentrantCallbackGroup()
            ),
            self.create_service(Step, topics.STEP, self._on_step),
            self.create_service(SetOutcome, topics.SET_OUTCOME, self._on_outcome),
        ]
        self._action = EpisodeServer(
            self,
            begin=lambda goal: self._begin(goal, goal.max_steps),
            cancel=lambda: control.finish(EpisodeStatus.ABORTED, "cancelled", self._now()),
        )
        # the steady clock: an arm is commanded at its rate whatever ROS time does
        self._timer = self.create_timer(
            control_period_ns(contract) / SECOND, self._on_tick, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self.diagnostics.set(robot=contract.name, driver=contract.driver.kind, refused_chunks=0, holds=0)

    def deactivate(self) -> None:
        self._control.finish(EpisodeStatus.ABORTED, "the bridge was deactivated", self._now())

    def release(self) -> None:
        if self._control is None:
            return
        self._control = None
        self.destroy_timer(self._timer)
        for service in self._offers:
            self.destroy_service(service)
        for subscription in self._chunks:
            self.destroy_subscription(subscription)
        self._action.destroy()
        for part in (self._inputs, self._outputs, self._streams, self._safety, self._partners):
            part.destroy()
        self.destroy_lifecycle_publisher(self._status)

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    def _on_tick(self) -> None:
        if self.active:
            self._control.tick(self._now())

    # --- services and the action

    def _begin(self, request: ResetEpisode.Request | RunEpisode.Goal, max_steps: int = 0) -> Run:
        if not self.active:
            raise CladError("the bridge is not active", "Activate it first")
        if request.suite not in ("", self._contract.name):
            raise UsageError(f"this is {self._contract.name}, which has no suite '{request.suite}'", "Leave it empty")
        instruction = request.instruction or self.value("instruction")
        if not instruction.strip():
            raise UsageError(
                "the robot is told nothing", "Give an instruction, with the goal or as the bridge's parameter"
            )
        return self._control.begin(
            instruction=instruction,
            max_steps=max_steps or self.value("max_steps"),
            init_index=request.init_index,
            seed=request.seed,
            now=self._now(),
        )

    async def _on_reset(self, request: ResetEpisode.Request, response: ResetEpisode.Response) -> ResetEpisode.Response:
        try:
            run = self._begin(request)
            if reason := await run.ready:
                raise CladError(reason)
        except CladError as error:
            response.message = str(error)
            return response
        response.success, response.episode, response.stamp = True, run.id, time_msg(run.start)
        response.instruction, response.scene_hash = run.instruction, run.scene
        return response

    def _on_step(self, request: Step.Request, response: Step.Response) -> Step.Response:
        response.message = "a real arm does not wait for its steps; only a simulator in lock-step has this service"
        return response

    def _on_outcome(self, request: SetOutcome.Request, response: SetOutcome.Response) -> SetOutcome.Response:
        phases = {outcome: phase for phase, outcome in OUTCOMES.items()}
        try:
            if request.outcome not in phases:
                raise unknown_name("outcome", request.outcome, phases)
            self._control.judge(phases[request.outcome], request.reason, self._now())
        except CladError as error:
            response.message = str(error)
            return response
        response.success = True
        return response


def _kinematics(contract: RobotContract):
    """The arm's model where joints must be found for Cartesian actions; MuJoCo is needed only then."""
    if contract.driver.kind != "joint_trajectory" or contract.action.representation not in CARTESIAN:
        return None
    from clad.robot.kinematics import load_kinematics

    return load_kinematics(contract)


def main() -> None:
    sys.exit(run_node(RobotBridge))
