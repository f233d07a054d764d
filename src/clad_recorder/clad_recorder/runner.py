"""One episode after another through a graph that is running: a bag, a video and a row each.

It calls the same services that anyone may call; nothing happens here that could not be done by hand.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future

from clad.errors import CladError
from clad.eval.episodes import EpisodeSpec
from clad.eval.result import EpisodeRecord, episode_timing
from clad.eval.runner import video_name
from clad.eval.video import write_video
from clad_interfaces.action import RunEpisode
from clad_interfaces.msg import EpisodeFigures
from clad_interfaces.srv import SetOutcome, StartRecording, StopRecording
from clad_recorder import bag as bags
from clad_recorder.episode_report import diagnostic_value, frames, inference
from clad_recorder.settings import Settings
from clad_ros import topics

SERVICE_TIMEOUT = 30.0  # s of wall time
GONE_AFTER = 5.0  # s without the bridge's action server until an episode is given up
FIGURES_TIMEOUT = 5.0  # s that the monitor has, on a busy machine, to tell an episode's figures
LOOK = 0.1  # s between looks at whether somebody has said how an episode ended

# (outcome, reason) once somebody has said how the episode ended, None until then
Judge = Callable[[], tuple[str, str] | None]


class Runner:
    """Belongs to the thread that `spin` is called in."""

    def __init__(self, node: Node, spin: Callable[[Future | None, float], bool], settings: Settings) -> None:
        """spin(future, seconds): handle messages until the future is done or the time is over; whether it is done.

        It may raise KeyboardInterrupt, after which only `leave` is to be called.
        """
        self._node, self._spin, self._settings = node, spin, settings
        self._start = node.create_client(StartRecording, topics.START_RECORDING)
        self._stop = node.create_client(StopRecording, topics.STOP_RECORDING)
        self._episode = ActionClient(node, RunEpisode, topics.RUN_EPISODE)
        node.create_subscription(EpisodeFigures, topics.EPISODE_FIGURES, self._on_figures, topics.EPISODE_FIGURES_QOS)
        self._figured = (0, "")  # the last episode whose figures were told, and its outcome
        self._goal = None
        self._bag: Path | None = None  # the one that is being recorded

    def episode(
        self,
        spec: EpisodeSpec,
        folder: Path,
        more: Mapping[str, str | int] | None = None,
        judge: Judge | None = None,
    ) -> tuple[EpisodeRecord, str]:
        """The episode's row, its paths relative to `folder`, and the reason for its outcome in words.

        more: further metadata of the bag. judge: asked again and again from the episode's begin; without one the bridge's
        word is taken. Raises CladError when the episode cannot be run or recorded.
        """
        bag = self._free_bag(folder, spec)
        metadata = {**self._settings.metadata(spec), **(more or {})}
        started = self._call(
            self._start,
            StartRecording.Request(
                uri=str(bag), metadata_keys=list(metadata), metadata_values=[str(v) for v in metadata.values()]
            ),
            "/start_recording",
        )
        if not started.success:
            raise CladError(f"no recording: {started.message}", "See the recorder's log")
        self._bag = bag
        began = time.monotonic()
        result = self._run_goal(spec, bag, judge)
        wall = time.monotonic() - began
        self._await_figures(result)
        stopped = self._call(self._stop, StopRecording.Request(), "/stop_recording")
        self._bag = None
        if not stopped.success:
            raise CladError(f"the recording is incomplete: {stopped.message}", "Free the disk and go on with --resume")
        record = EpisodeRecord.of(
            spec,
            result,
            bag=str(bag.relative_to(folder)),
            video=self._video(bag, folder, spec, result),
            timing=self._timing(bag, result, wall, stopped),
            safety={
                "clamped": result.safety_clamped,
                "held": result.safety_held,
                "reasons": list(result.safety_reasons),
            },
        )
        return record, result.reason

    def leave(self) -> None:
        """Cancel and close what is under way, as far as the others are still there; each gets a moment for it."""
        if self._goal is not None:
            self._spin(self._goal.cancel_goal_async(), 3.0)
        if self._bag is not None and not self._spin(self._stop.call_async(StopRecording.Request()), 3.0):
            # refused while the recorder lives, which then closes it itself
            with contextlib.suppress(CladError, OSError):
                bags.recover(self._bag)

    # --- the graph

    def _call(self, client, request, what: str):
        future = client.call_async(request)
        if not self._spin(future, SERVICE_TIMEOUT):
            raise CladError(
                f"{what} did not answer within {SERVICE_TIMEOUT:g} s", "See the log of the node that has it"
            )
        return future.result()

    def _on_figures(self, message: EpisodeFigures) -> None:
        self._figured = (message.episode, message.outcome)

    def _await_figures(self, result: RunEpisode.Result) -> None:
        """The monitor's figures belong into the episode's bag. A graph may do without a monitor."""
        deadline = time.monotonic() + FIGURES_TIMEOUT
        while self._figured != (result.episode, result.outcome) and self._node.count_publishers(topics.EPISODE_FIGURES):
            if time.monotonic() > deadline:
                self._node.get_logger().warning(f"the monitor has told no figures of episode {result.episode}")
                return
            self._spin(None, LOOK)

    def _run_goal(self, spec: EpisodeSpec, bag: Path, judge: Judge | None) -> RunEpisode.Result:
        goal = RunEpisode.Goal(
            suite=spec.suite,
            task=spec.task,
            init_index=spec.init_index,
            seed=spec.seed,
            protocol=self._settings.protocol,
            instruction=self._settings.instruction,
            max_steps=self._settings.max_steps,
            bag=str(bag),
        )
        sent = self._episode.send_goal_async(goal)
        if not self._spin(sent, SERVICE_TIMEOUT) or not sent.result().accepted:
            raise CladError("the bridge did not accept the episode", "See the bridge's log")
        self._goal = sent.result()
        finished = self._goal.get_result_async()
        verdict = None if judge is None else self._verdict(finished, judge)
        self._wait_for(finished, lambda: False)
        self._goal = None
        result = finished.result().result
        if verdict is not None:
            result.outcome, result.reason = verdict
            result.success = result.outcome == "success"
        return result

    def _verdict(self, finished: Future, judge: Judge) -> tuple[str, str] | None:
        """What somebody said, told to the bridge and so to the bag; None when the bridge aborted the episode by itself."""
        said: list[tuple[str, str]] = []

        def heard() -> bool:
            if finished.done() and finished.result().result.outcome == "aborted":
                return True
            said.extend(filter(None, [judge()]))
            return bool(said)

        self._wait_for(None, heard)
        if not said:
            return None
        outcome, reason = said[0]
        client = self._node.create_client(SetOutcome, topics.SET_OUTCOME)
        told = self._call(client, SetOutcome.Request(outcome=outcome, reason=reason), topics.SET_OUTCOME)
        self._node.destroy_client(client)
        if not told.success:
            raise CladError(f"the bridge does not take the outcome: {told.message}", "See the bridge's log")
        return outcome, reason

    def _wait_for(self, future: Future | None, condition: Callable[[], bool]) -> None:
        """Until the future is done or the condition holds. Raises CladError when the bridge goes away."""
        seen = time.monotonic()
        while not self._spin(future, LOOK) and not condition():
            if self._episode.server_is_ready():
                seen = time.monotonic()
            elif time.monotonic() - seen > GONE_AFTER:
                self._goal = None
                raise CladError("the bridge went away in mid-episode", "See the bridge's log")

    # --- files

    @staticmethod
    def _free_bag(folder: Path, spec: EpisodeSpec) -> Path:
        """Where this episode's bag goes; an earlier attempt's bag is kept, and closed if it was left open."""
        name = f"{spec.suite}-{spec.task}-{spec.init_index}-{spec.seed}"
        path, attempt = folder / "bags" / name, 1
        while path.exists():
            bags.recover(path)
            attempt += 1
            path = path.with_name(f"{name}-{attempt}")
        return path

    def _video(self, bag: Path, folder: Path, spec: EpisodeSpec, result: RunEpisode.Result) -> str | None:
        """Write the MP4 from the bag's pictures, in the episode's own time; its name, or None where there are none."""
        contract = self._settings.contract
        pictures = frames(bag, contract)
        if not pictures:
            return None
        steps = sorted(pictures)
        every = min((b - a for a, b in zip(steps, steps[1:])), default=1)
        if self._settings.mode == "lockstep" and len(steps) > 1:
            every = steps[1] - steps[0]  # the last picture of an episode may come early
        name = video_name(spec)
        write_video(
            folder / name,
            sorted(pictures.items()),
            fps=contract.control_rate / every,
            instruction=result.instruction,
            outcome=result.outcome,
        )
        return name

    def _timing(self, bag: Path, result: RunEpisode.Result, wall: float, recorded: StopRecording.Response) -> dict:
        """A row's timing. chunk_latency: observation published to chunk received; ros_share: what of it was not computing."""
        settings, measured = self._settings, inference(bag)
        latency, compute = list(result.chunk_latency), list(result.compute_latency)
        more = {
            "chunk_latency": latency,
            "ros_share": [whole - part for whole, part in zip(latency, compute)],
            "real_time_factor": result.real_time_factor,
            "holds": result.holds,
            "recorded_messages": recorded.messages,
            "dropped_messages": recorded.dropped,
            "gl_backend": diagnostic_value(bag, settings.bridge, "gl_backend"),
        }
        if settings.mode == "free-run":
            images = (settings.camera_rate or settings.contract.control_rate) * settings.real_time_factor
            target = 1.0 / min(settings.inference_rate, images)  # an observation is planned once
            more["period_error"] = [abs(p - target) for p in measured.period]
        return episode_timing(
            encode=measured.encode,
            plan=measured.plan,
            policy=measured.policy,
            render=result.render_time,
            physics=result.physics_time,
            wall=wall,
            **more,
        )
