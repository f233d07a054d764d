"""Planner node: observations and executed actions in, latent foresight out. The work is in clad.runtime.planner."""

from __future__ import annotations

import sys
import time
from collections import deque

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image, JointState

from clad.contract import load_contract
from clad.errors import CladError
from clad.runtime.bundle import load_bundle
from clad.runtime.planner import Planner
from clad_interfaces.msg import EpisodeStatus, ExecutedAction, LatentForesight
from clad_planner.inbox import Episode, Inbox, PlanJob, merge_jobs
from clad_planner.synchroniser import Synchroniser
from clad_planner.vigilance import Vigilance
from clad_ros import topics
from clad_ros.convert import foresight_to_message, observation_from_messages
from clad_ros.diagnostics import OK, WARN
from clad_ros.node import CladNode, run_node
from clad_ros.stamps import control_period_ns, to_ns
from clad_ros.worker import Worker

LOOKS = 5  # a control period
JOINTS, POSE = "joint_states", "ee_pose"


class PlannerNode(CladNode):
    """One foresight per new observation; in free-run at most `inference_rate` a second, over the newest one.

    In free-run an observation that comes sooner than 1/inference_rate after the last plan waits for that moment, and is
    replaced by a newer one until then. None is planned twice: a chunk carries all its steps with it, and the same
    observation has nothing to add.
    Messages are collected on the executor's thread and planned on a worker's, so that inference delays no callback.
    """

    def __init__(self) -> None:
        super().__init__("planner")
        self.setting("model", "", "model bundle: a directory, or a name in models/; empty: the first there that sees")
        self.setting("contract", "libero", "the robot: a shipped contract's name or a YAML file")
        self.setting("provider", "cpu", "what computes: cpu, cuda, tensorrt (ONNX Runtime), torch, torch-cuda")
        self.setting("precision", "fp32", "of the planner's network: fp32, int8, fp16, where the model has it")
        self.setting("threads", 1, "CPU threads for inference")
        self.setting(
            "inference_rate",
            25.0,
            "free-run: the most plans made per second of wall time; each is of a new observation",
        )
        self._worker: Worker | None = None
        self._entities: list = []
        self._timer = None

    def configure(self) -> None:
        self._contract = load_contract(self.value("contract"))
        self._bundle = load_bundle(self.value("model"))
        rate = self.value("inference_rate")
        if not 0 < rate <= 1000:
            raise CladError(f"inference_rate {rate} Hz is impossible", "Give a rate between 0 and 1000")
        self._planner = Planner(
            self._bundle,
            self._contract,
            provider=self.value("provider"),
            threads=self.value("threads"),
            precision=self.value("precision"),
        )
        self._planner.warm_up()
        self._episode_planned: Episode | None = None
        self._inbox = Inbox(control_period_ns(self._contract))
        self._synchroniser = Synchroniser([*self._bundle.cameras, JOINTS, POSE])
        self._vigilance = Vigilance(self._bundle.cameras, control_period_ns(self._contract))
        self._submitted: tuple[int, int] | None = None
        self._planned: tuple[tuple[int, int], LatentForesight] | None = None
        self._complete = 0.0  # when the newest observation was complete, monotonic s
        self._seq = 0
        self._next_plan = 0.0  # free-run: not before this moment, monotonic s
        self._lateness: deque[float] = deque(maxlen=250)
        self._worker = Worker(self._plan, self._failed, merge_jobs)

        self._publisher = self.create_lifecycle_publisher(
            LatentForesight, topics.LATENT_FORESIGHT, topics.COMMANDING_QOS
        )
        subscribe = self.create_subscription
        self._entities = [
            subscribe(EpisodeStatus, topics.EPISODE, self._on_episode, topics.EPISODE_QOS),
            subscribe(ExecutedAction, topics.EXECUTED_ACTION, self._on_executed, topics.ACTION_QOS),
            subscribe(JointState, topics.JOINT_STATES, lambda m: self._on_stream(JOINTS, m), topics.STATE_QOS),
            subscribe(PoseStamped, topics.EE_POSE, lambda m: self._on_stream(POSE, m), topics.STATE_QOS),
        ]
        for camera in self._bundle.cameras:
            callback = lambda m, camera=camera: self._on_stream(camera, m)  # noqa: E731
            self._entities.append(subscribe(Image, topics.image_topic(camera), callback, topics.IMAGE_QOS))
        # started again at every plan: it fires when the next one may be made. The steady clock, whatever sim time does
        self._period = 1.0 / rate
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(self._period, self._on_timer, clock=steady)
        # whether an observation is overdue is looked at several times a control period
        self._watch = self.create_timer(self._contract.control_period / LOOKS, self._on_timer, clock=steady)
        self.diagnostics.set(
            model=self._bundle.id,
            provider=self.value("provider"),
            precision=self.value("precision"),
            observations_replaced=0,
        )

    def release(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None
            self.destroy_timer(self._timer)
            self.destroy_timer(self._watch)
            for entity in self._entities:
                self.destroy_subscription(entity)
            self.destroy_lifecycle_publisher(self._publisher)
            self._entities = []

    # --- arrivals, on the executor's thread

    def _on_episode(self, message: EpisodeStatus) -> None:
        if message.phase == EpisodeStatus.RUNNING:
            begun = self._inbox.begin(
                Episode(
                    id=message.episode,
                    start=to_ns(message.header.stamp),
                    instruction=message.instruction,
                    seed=message.seed,
                    lockstep=message.mode == "lockstep",
                ),
                restarted=self._vigilance.clock_changed,
            )
            if begun:
                self._begin()
            self._plan_if_ready()
        else:
            self._inbox.end()

    def _begin(self) -> None:
        """A new episode may have a new clock, of a robot that was started again: nothing older is compared with it."""
        if self._vigilance.clock_changed:
            self._synchroniser = Synchroniser([*self._bundle.cameras, JOINTS, POSE])
            self._inbox.forget_observation()
        self._vigilance.begin()

    def _on_executed(self, message: ExecutedAction) -> None:
        if tuple(message.names) != self._contract.action.names:
            self.diagnostics.error(f"executed_action: names are {', '.join(message.names)}, not the contract's")
            return
        self._inbox.executed(message.episode, message.step, np.array(message.values, dtype=np.float64))
        self._plan_if_ready()

    def _on_stream(self, stream: str, message) -> None:
        stamp = to_ns(message.header.stamp)
        if fault := self._vigilance.stamped(stream, stamp, time.monotonic()):
            self._refuse_observation(fault)
            return
        group = self._synchroniser.add(stream, stamp, message)
        if group is not None:
            hand = group[POSE].pose.position
            images = {camera: group[camera].data for camera in self._bundle.cameras}
            if fault := self._vigilance.completed(stamp, images, np.array([hand.x, hand.y, hand.z])):
                self._refuse_observation(fault)
                return
            self._inbox.observed(stamp, group)
            self._complete = time.monotonic()
        if group is not None or self._vigilance.overdue(time.monotonic()):
            self._plan_if_ready(repeated=group is not None)

    def _refuse_observation(self, fault: str) -> None:
        if self.active and self._inbox.episode is not None:
            self.diagnostics.error(f"no foresight: {fault}")

    def _plan_if_ready(self, repeated: bool = False) -> None:
        """Plan the observation once its past is here. Lock-step: if it comes `repeated`, tell the same foresight again."""
        episode = self._inbox.episode
        if not self.active or episode is None:
            return
        if not episode.lockstep:
            if self._vigilance.overdue(time.monotonic()):
                missing = ", ".join(self._synchroniser.missing())
                self.diagnostics.error(f"the observations have stopped: waiting for {missing}")
                return
            if time.monotonic() < self._next_plan:
                return
        job = self._inbox.job()
        if job is None:
            return
        if job.key != self._submitted:
            self._submit(job)
        elif repeated and episode.lockstep and self._planned is not None and self._planned[0] == job.key:
            self._publish(self._planned[1])

    def _on_timer(self) -> None:
        """Free-run: the observation that came too soon after the last plan."""
        if self._inbox.episode is not None and not self._inbox.episode.lockstep:
            self._plan_if_ready()

    def _submit(self, job: PlanJob) -> None:
        if not job.episode.lockstep:
            self._note_start()
        self._submitted = job.key
        if not self._worker.submit(job):
            self.diagnostics.set(observations_replaced=self._worker.replaced)

    def _note_start(self) -> None:
        """Free-run: when the next plan may start, and how late this one did, over the last plans.

        A plan is due when its observation is complete and the one before it started a period ago.
        """
        now = time.monotonic()
        self._lateness.append(now - max(self._next_plan, self._complete))
        self._next_plan = now + self._period
        self._timer.reset()
        if len(self._lateness) % 25 == 0:
            p50, p99 = np.percentile(np.array(self._lateness) * 1e3, [50, 99])
            self.diagnostics.set(plan_late_ms_p50=f"{p50:.3f}", plan_late_ms_p99=f"{p99:.3f}")

    # --- planning, on the worker's thread

    def _plan(self, job: PlanJob) -> None:
        if job.episode != self._episode_planned:
            self._planner.reset(job.episode.instruction, job.episode.seed)
            self._episode_planned = job.episode
        for step, action in job.executed:
            self._planner.executed(step, action)
        images = {camera: job.messages[camera] for camera in self._bundle.cameras}
        observation = observation_from_messages(
            images, job.messages[JOINTS], job.messages[POSE], step=job.step, contract=self._contract
        )
        foresight = self._planner.plan(observation)
        if foresight.fallback and job.episode.lockstep:
            raise CladError(f"joined in mid-episode ({foresight.fallback}); waiting for the next episode")
        message = foresight_to_message(
            foresight,
            stamp=job.stamp,
            seq=0,
            episode=job.episode.id,
            horizon=self._bundle.horizon,
            model_id=self._bundle.id,
            contract=self._contract,
        )
        self._publish(message)
        self._planned = (job.key, message)
        latency = f"{foresight.plan_latency * 1e3:.2f}"
        # the words stay the same from plan to plan, so that the log is told once; what changes is a value
        level, words = (WARN, "planning with a gap in the history") if foresight.fallback else (OK, "planning")
        waited = self._worker.queue_age_ms
        self.diagnostics.report(
            level, words, plan_latency_ms=latency, plans=self._seq, gap=foresight.fallback, queue_age_ms=waited
        )

    def _publish(self, message: LatentForesight) -> None:
        self._seq += 1
        message.seq = self._seq
        self._publisher.publish(message)

    def _failed(self, error: Exception) -> None:
        """No foresight for this observation; the same one is taken up again should it come with good data."""
        self._submitted = None
        text = str(error) if isinstance(error, CladError) else f"internal error: {error!r}"
        self.diagnostics.error(f"no foresight: {text}")


def main() -> None:
    sys.exit(run_node(PlannerNode))
