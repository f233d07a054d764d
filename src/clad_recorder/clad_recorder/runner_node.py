"""Episode runner: takes the graph through episodes, one bag each, and leaves result.json and a video an episode.

It drives the same services that anyone may call; nothing happens here that could not be done by hand.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from pathlib import Path

import rclpy
from lifecycle_msgs.srv import GetState
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from clad.contract import load_contract
from clad.errors import CladError, UsageError
from clad.eval.episodes import MAX_SEED, EpisodeSpec, evaluation_episodes
from clad.eval.result import EpisodeRecord, EvalResult, episode_timing, read_result
from clad.eval.runner import video_name
from clad.eval.table import episode_table, summary
from clad.eval.video import write_video
from clad.runtime.bundle import load_bundle
from clad.sim.suites import task_info
from clad_interfaces.action import RunEpisode
from clad_interfaces.srv import StartRecording, StopRecording
from clad_recorder import bag as bags
from clad_recorder.episode_report import diagnostic_value, frames, inference
from clad_ros import topics

NODES = ("recorder", "policy", "planner")  # and the bridge
SERVICE_TIMEOUT = 30.0  # s of wall time
GONE_AFTER = 5.0  # s without the bridge's action server until an episode is given up


class EpisodeRunner(Node):
    """Parameters as `clad sim`'s options. `run` returns the process's exit code."""

    def __init__(self) -> None:
        super().__init__("episode_runner")
        for name, default, description in (
            ("suite", "libero_10", "LIBERO suite"),
            ("task", 0, "task index within the suite"),
            ("init", 0, "evaluation state of the first episode; the next ones follow"),
            ("episodes", 1, "how many episodes"),
            ("seed", 0, "seed of the first episode; episode i has seed + i"),
            ("protocol", "exact", "exact or classic"),
            ("mode", "lockstep", "the bridge's mode, for the result file"),
            ("visuals", "full", "the bridge's visuals, for the result file"),
            ("execution", "hold", "the bridge's in free-run, for the result file"),
            ("max_steps", 0, "control steps an episode may take; 0: the suite's published limit"),
            ("model", "", "the planner's and the policy's model, for the result file"),
            ("precision", "fp32", "the planner's and the policy's precision, for the result file"),
            ("fused", False, "whether the policy samples in one run, for the result file"),
            ("bridge", "sim_bridge", "which bridge runs the episodes: sim_bridge or robot_bridge"),
            ("instruction", "", "what the robot is told; empty: a LIBERO task's own words"),
            ("contract", "libero", "the robot: a shipped contract's name or a YAML file"),
            ("out", "runs", "where result.json, bags/ and videos go; must lie below the recorder's root"),
            ("json", "", "also write the result to this file"),
            ("resume", False, "go on with what an interrupted run left in out"),
            ("inference_rate", 25.0, "the planner's highest rate in free-run, for the period error"),
            ("camera_rate", 0.0, "the bridge's, for the period error"),
            ("real_time_factor", 1.0, "the bridge's, for the period error"),
            ("startup_timeout", 120.0, "wall seconds until all nodes must be active"),
        ):
            self.declare_parameter(name, default, ParameterDescriptor(description=description))
        self._start = self.create_client(StartRecording, topics.START_RECORDING)
        self._stop = self.create_client(StopRecording, topics.STOP_RECORDING)
        self._episode = ActionClient(self, RunEpisode, topics.RUN_EPISODE)
        self._nodes = (*NODES, self.value("bridge"))
        self._states = {node: self.create_client(GetState, f"/{node}/get_state") for node in self._nodes}
        self._interrupted = False
        self._goal = None
        self._bag: Path | None = None  # the one that is being recorded

    def value(self, name: str):
        return self.get_parameter(name).value

    def interrupt(self, *_) -> None:
        """Stop after the message at hand; called by signal handlers."""
        self._interrupted = True

    def run(self) -> int:
        """All episodes; 0 when every one has its row, 130 when interrupted. Raises CladError when one cannot be run."""
        self._contract = load_contract(self.value("contract"))
        self._bundle = load_bundle(self.value("model"))
        self._out = Path(self.value("out")).absolute()
        specs = self._specs()
        result = self._result()
        todo = [spec for spec in specs if not result.has(spec)]
        if len(todo) < len(specs):
            print(f"resuming: {len(specs) - len(todo)} of {len(specs)} episodes are done", flush=True)
        begun = False
        try:
            if todo:
                self._wait_for_nodes()
            self._write(result)
            begun = True
            before, started = result.wall_s, time.monotonic()
            for i, spec in enumerate(todo):
                record, reason = self._run(spec)
                result.add(record)
                result.wall_s = before + time.monotonic() - started
                self._write(result)
                header, row = episode_table([record]).splitlines()
                print(f"{header}\n{row}" if i == 0 else row, flush=True)
                if record.outcome == "aborted":
                    raise CladError(f"the episode was aborted: {reason}", "Mend that and go on with --resume")
        except KeyboardInterrupt:
            self._leave()
            if begun:
                done = sum(result.has(spec) for spec in specs)
                print(f"stopped: {done} of {len(specs)} episodes are done", flush=True)
            return 130
        except (CladError, OSError):
            self._leave()
            raise
        print(self._closing_words(result), flush=True)
        return 0

    @property
    def _simulated(self) -> bool:
        """Whether there is a benchmark with evaluation states and limits; an arm has scenes without end."""
        return self.value("bridge") == "sim_bridge"

    def _specs(self) -> list[EpisodeSpec]:
        suite, task = self.value("suite"), self.value("task")
        return evaluation_episodes(
            suite,
            task,
            episodes=self.value("episodes"),
            init=self.value("init"),
            seed=self.value("seed"),
            n_init_states=task_info(suite, task).n_init_states if self._simulated else MAX_SEED + 1,
        )

    def _execution(self) -> str:
        return self.value("execution") if self.value("mode") == "free-run" else "sync"

    def _result(self) -> EvalResult:
        result = EvalResult(
            suite=self.value("suite"),
            protocol=self.value("protocol"),
            mode=self.value("mode"),
            visuals=self.value("visuals"),
            execution=self._execution(),
            model={"name": self._bundle.name, "sha256": self._bundle.sha256},
            precision=self.value("precision"),
            fused=self.value("fused"),
        )
        file = self._out / "result.json"
        if file.exists():
            if not self.value("resume"):
                raise UsageError(f"{file} exists already", "Add --resume to go on with it, or give another --out")
            result.merge(read_result(file))
            if self._simulated:
                facts = task_info(result.suite, self.value("task"))
                result.check_limit(self.value("max_steps") or facts.max_steps)
        return result

    def _closing_words(self, result: EvalResult) -> str:
        """The summary, and where everything lies; of many bags and videos only the folder."""
        places = [("result", self._out / "result.json")]
        for what, names in (("video", [r.video for r in result.episodes]), ("bag", [r.bag for r in result.episodes])):
            paths = [self._out / name for name in names if name is not None]
            if len(paths) == 1:
                places.append((what, paths[0]))
            elif paths:
                places.append((f"{what}s", f"{paths[0].parent} ({len(paths)})"))
        return "\n".join([summary(result), *(f"{what:<7} {place}" for what, place in places)])

    def _write(self, result: EvalResult) -> None:
        result.write(self._out / "result.json")
        if self.value("json"):
            result.write(Path(self.value("json")))

    # --- the graph

    def _wait_for_nodes(self) -> None:
        """Until every node is active. Raises CladError naming those that are not, and their state."""
        states = dict.fromkeys(self._nodes, "not there")
        started = time.monotonic()
        deadline = started + self.value("startup_timeout")
        while any(state != "active" for state in states.values()):
            self._refuse_company()
            for node, client in self._states.items():
                if states[node] != "active" and client.service_is_ready():
                    future = client.call_async(GetState.Request())
                    if self._spin(future, 1.0):
                        states[node] = future.result().current_state.label
                    else:
                        client.remove_pending_request(future)
            if time.monotonic() > deadline:
                missing = ", ".join(f"{node} ({state})" for node, state in states.items() if state != "active")
                raise CladError(
                    f"after {self.value('startup_timeout'):g} s these nodes are not active: {missing}", "See their logs"
                )
            self._spin(None, 0.05)
        print(f"all nodes are active after {time.monotonic() - started:.1f} s", flush=True)

    def _refuse_company(self) -> None:
        """Raises CladError when a second graph is in this domain: its messages would mix with ours."""
        names = self.get_node_names()
        twice = [name for name in (*self._nodes, self.get_name()) if names.count(name) > 1]
        if twice:
            raise CladError(
                f"another graph runs in this ROS domain: {', '.join(twice)} is there twice",
                "End it, or use another ROS_DOMAIN_ID",
            )

    def _spin(self, future, timeout: float) -> bool:
        """Handle messages until `future` is done or the time is over; True when it is done."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._interrupted:
                raise KeyboardInterrupt
            rclpy.spin_once(self, timeout_sec=0.05)
            if future is not None and future.done():
                return True
        return False

    def _call(self, client, request, what: str):
        future = client.call_async(request)
        if not self._spin(future, SERVICE_TIMEOUT):
            raise CladError(f"{what} did not answer within {SERVICE_TIMEOUT:g} s", "See the recorder's log")
        return future.result()

    def _leave(self) -> None:
        """Cancel and close what is under way, as far as the others are still there; each gets a moment for it."""
        self._interrupted = False
        if self._goal is not None:
            self._spin(self._goal.cancel_goal_async(), 3.0)
        if self._bag is not None and not self._spin(self._stop.call_async(StopRecording.Request()), 3.0):
            with contextlib.suppress(
                CladError, OSError
            ):  # refused while the recorder lives, which then closes it itself
                bags.recover(self._bag)

    # --- one episode

    def _run(self, spec: EpisodeSpec) -> tuple[EpisodeRecord, str]:
        """The episode's row, and the reason for its outcome in words."""
        bag = self._free_bag(spec)
        metadata = self._metadata(spec)
        root = self._out
        response = self._call(
            self._start,
            StartRecording.Request(
                uri=str(bag), metadata_keys=list(metadata), metadata_values=[str(v) for v in metadata.values()]
            ),
            "/start_recording",
        )
        if not response.success:
            raise CladError(f"no recording: {response.message}", "See the recorder's log")
        self._bag = bag
        started = time.monotonic()
        result = self._run_goal(spec, bag)
        wall = time.monotonic() - started
        stopped = self._call(self._stop, StopRecording.Request(), "/stop_recording")
        self._bag = None
        if not stopped.success:
            raise CladError(f"the recording is incomplete: {stopped.message}", "Free the disk and go on with --resume")
        video = self._video(bag, spec, result)
        record = EpisodeRecord.of(
            spec,
            result,
            bag=str(bag.relative_to(root)),
            video=video,
            timing=self._timing(bag, result, wall, stopped),
            safety={
                "clamped": result.safety_clamped,
                "held": result.safety_held,
                "reasons": list(result.safety_reasons),
            },
        )
        return record, result.reason

    def _run_goal(self, spec: EpisodeSpec, bag: Path) -> RunEpisode.Result:
        goal = RunEpisode.Goal(
            suite=spec.suite,
            task=spec.task,
            init_index=spec.init_index,
            seed=spec.seed,
            protocol=self.value("protocol"),
            instruction=self.value("instruction"),
            max_steps=self.value("max_steps"),
            bag=str(bag),
        )
        sent = self._episode.send_goal_async(goal)
        if not self._spin(sent, SERVICE_TIMEOUT) or not sent.result().accepted:
            raise CladError("the bridge did not accept the episode", "See the bridge's log")
        self._goal = sent.result()
        finished = self._goal.get_result_async()
        seen = time.monotonic()
        while not self._spin(finished, 1.0):
            if self._episode.server_is_ready():
                seen = time.monotonic()
            elif time.monotonic() - seen > GONE_AFTER:
                self._goal = None
                raise CladError("the bridge went away in mid-episode", "See the bridge's log")
        self._goal = None
        return finished.result().result

    def _free_bag(self, spec: EpisodeSpec) -> Path:
        """Where this episode's bag goes; an earlier attempt's bag is kept, and closed if it was left open."""
        name = f"{spec.suite}-{spec.task}-{spec.init_index}-{spec.seed}"
        path, attempt = self._out / "bags" / name, 1
        while path.exists():
            bags.recover(path)
            attempt += 1
            path = path.with_name(f"{name}-{attempt}")
        return path

    def _metadata(self, spec: EpisodeSpec) -> dict[str, str | int]:
        return {
            "suite": spec.suite,
            "task": spec.task,
            "instruction": self.value("instruction") or task_info(spec.suite, spec.task).instruction,
            "init_index": spec.init_index,
            "seed": spec.seed,
            "protocol": self.value("protocol"),
            "mode": self.value("mode"),
            "visuals": self.value("visuals"),
            "execution": self._execution(),
            "max_steps": self.value("max_steps"),
            "model": self._bundle.name,
            "model_sha256": self._bundle.sha256,
            "encoder_sha256": self._bundle.encoder_sha256,
            "precision": self.value("precision"),
            "fused": self.value("fused"),
            "contract": self._contract.name,
            "contract_hash": self._contract.hash,
        }

    def _video(self, bag: Path, spec: EpisodeSpec, result: RunEpisode.Result) -> str | None:
        """Write the MP4 from the bag's pictures, in the episode's own time; its name, or None where there are none."""
        pictures = frames(bag, self._contract)
        if not pictures:
            return None
        steps = sorted(pictures)
        every = min((b - a for a, b in zip(steps, steps[1:])), default=1)
        if self.value("mode") == "lockstep" and len(steps) > 1:
            every = steps[1] - steps[0]  # the last picture of an episode may come early
        name = video_name(spec)
        write_video(
            self._out / name,
            sorted(pictures.items()),
            fps=self._contract.control_rate / every,
            instruction=result.instruction,
            outcome=result.outcome,
        )
        return name

    def _timing(self, bag: Path, result: RunEpisode.Result, wall: float, recorded: StopRecording.Response) -> dict:
        """A row's timing. chunk_latency: observation published to chunk received; ros_share: what of it was not computing."""
        measured = inference(bag)
        latency, compute = list(result.chunk_latency), list(result.compute_latency)
        more = {
            "chunk_latency": latency,
            "ros_share": [whole - part for whole, part in zip(latency, compute)],
            "real_time_factor": result.real_time_factor,
            "holds": result.holds,
            "recorded_messages": recorded.messages,
            "dropped_messages": recorded.dropped,
            "gl_backend": diagnostic_value(bag, self.value("bridge"), "gl_backend"),
        }
        if self.value("mode") == "free-run":
            images = (self.value("camera_rate") or self._contract.control_rate) * self.value("real_time_factor")
            target = 1.0 / min(self.value("inference_rate"), images)  # an observation is planned once
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


def main() -> None:
    # own handlers: rclpy's would take the graph away before the bag is closed and the goal cancelled
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = None
    try:
        node = EpisodeRunner()
        signal.signal(signal.SIGINT, node.interrupt)
        signal.signal(signal.SIGTERM, node.interrupt)
        code = node.run()
    except (CladError, OSError) as error:  # OSError: a full disk, most of all; its text names the file
        print(f"episode_runner: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        code = getattr(error, "exit_code", CladError.exit_code)
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    sys.exit(code)
