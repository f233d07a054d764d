"""The state of the episode that the bridge is running, its status message and its result."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field

import numpy as np
from rclpy.task import Future

from clad.runtime.execution import ChunkExecutor
from clad_interfaces.action import RunEpisode
from clad_interfaces.msg import EpisodeStatus
from clad_ros.episodes import OUTCOMES
from clad_ros.latency import LatencyMeter
from clad_ros.safety import SafetyMonitor
from clad_ros.stamps import SECOND, time_msg


@dataclass(slots=True, kw_only=True)
class Run:
    """One episode, from its goal to its outcome. Stamps in ns of ROS time.

    start: stamp of the first observation, 0 while the arm is on its way home. steps: control steps so far, by the clock.
    gripper: the last gripper command, which a hold keeps. ready: resolves to '' at the first observation, or to why
    there is none. finished: resolves to the RunEpisode result.
    """

    id: int
    init_index: int
    seed: int
    instruction: str
    max_steps: int
    executor: ChunkExecutor
    start: int = 0
    last: int = 0
    steps: int = 0
    phase: int = EpisodeStatus.RUNNING
    reason: str = ""
    gripper: float = -1.0
    holds: int = 0
    scene: str = ""
    started_wall: float = field(default_factory=time.monotonic)
    ready: Future = field(default_factory=Future)
    finished: Future = field(default_factory=Future)
    latency: LatencyMeter = field(default_factory=LatencyMeter)
    actions: hashlib._Hash = field(default_factory=hashlib.sha256)
    states: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def running(self) -> bool:
        """Under way to an outcome, the way home included."""
        return self.phase == EpisodeStatus.RUNNING

    @property
    def outcome(self) -> str:
        return OUTCOMES[self.phase]

    def begin(self, start: int, images: dict[str, np.ndarray]) -> None:
        """The first observation, with its pictures."""
        self.start = self.last = start
        self.scene = hashlib.sha256(b"".join(images[c].tobytes() for c in sorted(images))).hexdigest()

    def status(self) -> EpisodeStatus:
        """The /episode message; its hashes only once the episode has ended."""
        message = EpisodeStatus(
            episode=self.id,
            phase=self.phase,
            reason=self.reason,
            instruction=self.instruction,
            init_index=self.init_index,
            seed=self.seed,
            protocol="robot",
            mode="free-run",
            visuals="camera",
            steps=self.steps,
            max_steps=self.max_steps,
            scene_hash=self.scene,
            action_hash="" if self.running else self.actions.hexdigest(),
            state_hash="" if self.running else self.states.hexdigest(),
        )
        message.header.stamp = time_msg(self.start)
        return message

    def result(self, safety: SafetyMonitor) -> RunEpisode.Result:
        """The action's result, at the outcome; the bag is the caller's to fill in."""
        latency, compute = self.latency.results()
        wall = max(time.monotonic() - self.started_wall, 1e-9)
        return RunEpisode.Result(
            episode=self.id,
            success=self.phase == EpisodeStatus.SUCCESS,
            outcome=self.outcome,
            reason=self.reason,
            steps=self.steps,
            episode_return=float(self.phase == EpisodeStatus.SUCCESS),
            instruction=self.instruction,
            scene_hash=self.scene or hashlib.sha256().hexdigest(),
            action_hash=self.actions.hexdigest(),
            state_hash=self.states.hexdigest(),
            chunk_latency=latency,
            compute_latency=compute,
            real_time_factor=(self.last - self.start) / SECOND / wall,
            holds=self.holds,
            safety_clamped=safety.clamped,
            safety_held=safety.held,
            safety_reasons=safety.reasons,
        )
