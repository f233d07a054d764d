"""Episode runner node: takes a graph through consecutive episodes and leaves result.json beside their bags and videos."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import rclpy
from lifecycle_msgs.srv import GetState
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from clad.contract import load_contract
from clad.errors import CladError, UsageError
from clad.eval.episodes import MAX_SEED, EpisodeSpec, evaluation_episodes
from clad.eval.result import EvalResult, read_result
from clad.eval.table import episode_table, summary
from clad.runtime.bundle import load_bundle
from clad.sim.suites import task_info
from clad_recorder.runner import Runner
from clad_recorder.settings import Settings

NODES = ("recorder", "monitor", "policy", "planner")  # and the bridge
# parameters that are fields of Settings under the same name
SETTINGS = (
    *("bridge", "protocol", "mode", "visuals", "execution", "max_steps", "instruction"),
    *("precision", "fused", "sample_steps", "warm_start", "inference_rate", "camera_rate", "real_time_factor"),
)


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
            ("sample_steps", 0, "the policy's, for the result file"),
            ("warm_start", False, "the policy's, for the result file"),
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
        self._nodes = (*NODES, self.value("bridge"))
        self._states = {node: self.create_client(GetState, f"/{node}/get_state") for node in self._nodes}
        self._interrupted = False

    def value(self, name: str):
        return self.get_parameter(name).value

    def interrupt(self, *_) -> None:
        """Stop after the message at hand; called by signal handlers."""
        self._interrupted = True

    def run(self) -> int:
        """All episodes; 0 when every one has its row, 130 when interrupted. Raises CladError when one cannot be run."""
        self._settings = Settings(
            contract=load_contract(self.value("contract")),
            bundle=load_bundle(self.value("model")),
            **{name: self.value(name) for name in SETTINGS},
        )
        self._out = Path(self.value("out")).absolute()
        runner = Runner(self, self._spin, self._settings)
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
                record, reason = runner.episode(spec, self._out)
                result.add(record)
                result.wall_s = before + time.monotonic() - started
                self._write(result)
                header, row = episode_table([record]).splitlines()
                print(f"{header}\n{row}" if i == 0 else row, flush=True)
                if record.outcome == "aborted":
                    raise CladError(f"the episode was aborted: {reason}", "Mend that and go on with --resume")
        except KeyboardInterrupt:
            self._interrupted = False
            runner.leave()
            if begun:
                done = sum(result.has(spec) for spec in specs)
                print(f"stopped: {done} of {len(specs)} episodes are done", flush=True)
            return 130
        except (CladError, OSError):
            runner.leave()
            raise
        print(self._closing_words(result), flush=True)
        return 0

    def _specs(self) -> list[EpisodeSpec]:
        suite, task = self.value("suite"), self.value("task")
        return evaluation_episodes(
            suite,
            task,
            episodes=self.value("episodes"),
            init=self.value("init"),
            seed=self.value("seed"),
            n_init_states=task_info(suite, task).n_init_states if self._settings.simulated else MAX_SEED + 1,
        )

    def _result(self) -> EvalResult:
        result = self._settings.result(self.value("suite"))
        file = self._out / "result.json"
        if file.exists():
            if not self.value("resume"):
                raise UsageError(f"{file} exists already", "Add --resume to go on with it, or give another --out")
            result.merge(read_result(file))
            if self._settings.simulated:
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
