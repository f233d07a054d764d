"""The state of the episode that the bridge is running, its status message and its result."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from rclpy.task import Future

from clad.runtime.execution import ChunkExecutor, Decaying
from clad_interfaces.action import RunEpisode
from clad_interfaces.msg import EpisodeStatus, ExecutedAction
from clad_ros.episodes import OUTCOMES
from clad_ros.latency import LatencyMeter
from clad_ros.safety import SafetyMonitor
from clad_ros.stamps import SECOND, time_msg
from clad_sim_bridge.pace import Pace
from clad_sim_bridge.simulation import Simulation

MAX_RESEND = 50  # executed actions kept to be sent again: as many as the topic's depth


@dataclass(slots=True, kw_only=True)
class Run:
    """One episode, from its first observation to its outcome. Stamps in ns of sim time, *_wall in monotonic seconds.

    driven: a RunEpisode goal wants the outcome, so a policy that never answers must end the episode.
    awaited: lock-step, the stamp of the observation whose chunk is waited for; -1 when none is.
    asked_wall: when that observation first went out; sent_wall: when it went out last.
    gripper: the last gripper command, which a hold keeps. finished: resolves to the RunEpisode result.
    executor: free-run, the chunks that may act. age: of the observations behind what it executes, ns.
    image_age: decoupled rendering, of pictures when they are published, ns. pace: how fast simulated time goes.
    """

    id: int
    start: int
    suite: str
    task: int
    instruction: str
    init_index: int
    seed: int
    protocol: str
    mode: str
    visuals: str
    max_steps: int
    scene_hash: str
    driven: bool
    executor: ChunkExecutor
    finished: Future = field(default_factory=Future)
    phase: int = EpisodeStatus.RUNNING
    reason: str = ""
    awaited: int = -1
    asked_wall: float = 0.0
    sent_wall: float = 0.0
    started_wall: float = field(default_factory=time.monotonic)
    gripper: float = -1.0
    holds: int = 0
    resend: deque[ExecutedAction] = field(default_factory=lambda: deque(maxlen=MAX_RESEND))
    age: Decaying = field(default_factory=Decaying)
    image_age: Decaying = field(default_factory=Decaying)
    pace: Pace = field(default_factory=Pace)
    latency: LatencyMeter = field(default_factory=LatencyMeter)

    @property
    def running(self) -> bool:
        return self.phase == EpisodeStatus.RUNNING

    @property
    def lockstep(self) -> bool:
        return self.mode == "lockstep"

    @property
    def outcome(self) -> str:
        return OUTCOMES[self.phase]

    def status(self, simulation: Simulation) -> EpisodeStatus:
        """The /episode message; its hashes only once the episode has ended."""
        log = simulation.log
        message = EpisodeStatus(
            episode=self.id,
            phase=self.phase,
            reason=self.reason,
            suite=self.suite,
            task=self.task,
            instruction=self.instruction,
            init_index=self.init_index,
            seed=self.seed,
            protocol=self.protocol,
            mode=self.mode,
            visuals=self.visuals,
            steps=log.steps,
            max_steps=self.max_steps,
            scene_hash=self.scene_hash,
            action_hash="" if self.running else log.action_hash,
            state_hash="" if self.running else log.state_hash,
        )
        message.header.stamp = time_msg(self.start)
        return message

    def result(self, simulation: Simulation, safety: SafetyMonitor) -> RunEpisode.Result:
        """The action's result, at the outcome; the bag is the caller's to fill in."""
        log = simulation.log
        latency, compute = self.latency.results()
        wall = time.monotonic() - self.started_wall
        return RunEpisode.Result(
            episode=self.id,
            success=self.phase == EpisodeStatus.SUCCESS,
            outcome=self.outcome,
            reason=self.reason,
            steps=log.steps,
            episode_return=log.total_reward,
            instruction=self.instruction,
            scene_hash=self.scene_hash,
            action_hash=log.action_hash,
            state_hash=log.state_hash,
            chunk_latency=latency,
            compute_latency=compute,
            render_time=simulation.render_seconds,
            physics_time=simulation.physics_seconds,
            real_time_factor=(simulation.now - self.start) / SECOND / wall,
            holds=self.holds,
            safety_clamped=safety.clamped,
            safety_held=safety.held,
            safety_reasons=safety.reasons,
        )
