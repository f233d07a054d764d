"""A campaign's graphs: one a condition, started, taken through its episodes and ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clad.campaign.disk import require_room
from clad.campaign.manifest import Entry, Manifest, results_folder
from clad.campaign.operator import Operator
from clad.campaign.plan import Condition, Item, Plan
from clad.campaign.schema import OPERATOR, Campaign
from clad.contract import RobotContract
from clad.errors import CladError, UsageError
from clad.runtime.bundle import ModelBundle
from clad.study import delay as study
from clad_bringup.conductor import Conductor, conduct
from clad_bringup.console import Console
from clad_bringup.delayed import LateRelay, relayed
from clad_bringup.graph import NodeSpec, robot_graph, sim_graph
from clad_recorder.campaign import Episodes, close_interrupted, write_result
from clad_recorder.settings import Settings
from clad_ros.domain import own_domain

# parameters of planner and policy that all conditions share
INFERENCE = ("precision", "fused", "sample_steps", "warm_start")


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaigner:
    """What all conditions share. bundles: by the names that the campaign's file gives them.

    max_steps: an episode's limit; 0: the suite's. room: the bytes to keep free for an episode under a condition.
    operator: who is asked, None where nobody is.
    """

    campaign: Campaign
    contract: RobotContract
    bundles: Mapping[str, ModelBundle]
    plan: Plan
    manifest: Manifest
    max_steps: int
    room: Callable[[Condition], int]
    operator: Operator | None

    def close_interrupted(self) -> None:
        """Enter what a killed run has left into the manifest."""
        for name, repeat in self._results():
            close_interrupted(self.manifest, name, repeat, results_folder(self.manifest.path.parent, name, repeat))

    def write_results(self) -> None:
        """Every result.json, from the manifest."""
        for name, repeat in self._results():
            self._write_result(name, repeat)

    def run(self, condition: Condition, todo: Sequence[Item], told: Callable[[Entry], None]) -> None:
        """These episodes, in a graph of their own; told is called with each entry once it is on disk.

        Raises CladError when one cannot be run, KeyboardInterrupt at a signal, clad_recorder.campaign.Stopped at the
        operator's word.
        """
        late = study.Condition(execution=condition.execution, delay_ms=condition.delay_ms)
        graph = self._graph(condition, todo[0])

        def work(conductor: Conductor) -> None:
            relay = LateRelay(conductor, simulated=self.campaign.simulated) if late.delay_ms else None

            def before(item: Item) -> None:
                require_room(self.manifest.path.parent, [self.room(condition)])
                if relay is not None:
                    relay.begin(study.Injected(late, item.spec.seed))

            def keep(entry: Entry) -> None:
                self._write_result(entry.condition, entry.repeat)
                told(entry)

            episodes = Episodes(
                conductor,
                self._settings(condition),
                self.manifest,
                name=self.campaign.name,
                before=before,
                operator=self.operator,
                resets=self.campaign.reset == OPERATOR,
                judges=self.campaign.outcome == OPERATOR,
            )
            conductor.wait_active([spec.name for spec in graph if spec.name != "manager"])
            episodes.run(todo, keep)

        log = self.manifest.path.parent / "nodes.log"
        with own_domain(), Console(log, "nobody") as show:
            try:
                conduct(graph, work, show=show)
            except UsageError:
                raise
            except CladError as error:
                raise CladError(str(error), f"All that the nodes said is in {log}") from error

    def _results(self) -> list[tuple[str, int]]:
        """Condition and repetition of every result.json."""
        return list(dict.fromkeys((item.condition, item.repeat) for item in self.plan.items))

    def _write_result(self, condition: str, repeat: int) -> None:
        settings = self._settings(self.plan.conditions[condition])
        folder = results_folder(self.manifest.path.parent, condition, repeat)
        write_result(self.manifest, settings, condition, repeat, folder)

    def _instruction(self, condition: Condition) -> str:
        """What an arm is told; a LIBERO task has words of its own."""
        if self.campaign.simulated:
            return ""
        return self.campaign.instruction or self.bundles[condition.model].tasks[0].instruction

    def _graph(self, condition: Condition, first: Item) -> list[NodeSpec]:
        """Without a runner: this process takes its place."""
        names = (*INFERENCE, "provider", "threads")
        values = {name: getattr(self.campaign, name) for name in names}
        values |= {"model": self.bundles[condition.model].path, "execution": condition.execution}
        values |= {"max_steps": self.max_steps, "seed": first.spec.seed, "out": self.manifest.path.parent}
        if self.campaign.simulated:
            values |= {"suite": first.spec.suite, "task": first.spec.task, "protocol": condition.protocol}
            values |= {"mode": condition.mode, "visuals": condition.visuals}
        else:
            values |= {"robot": self.campaign.robot, "instruction": self._instruction(condition)}
        texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
        graph = (sim_graph if self.campaign.simulated else robot_graph)(texts)
        graph = [spec for spec in graph if not spec.ends_graph]
        return relayed(graph) if condition.delay_ms else graph

    def _settings(self, condition: Condition) -> Settings:
        return Settings(
            contract=self.contract,
            bundle=self.bundles[condition.model],
            bridge="sim_bridge" if self.campaign.simulated else "robot_bridge",
            protocol=condition.protocol,
            mode=condition.mode,
            visuals=condition.visuals,
            execution=condition.execution,
            delay_ms=condition.delay_ms,
            max_steps=self.max_steps,
            instruction=self._instruction(condition),
            inference_rate=25.0,
            camera_rate=0.0,
            real_time_factor=1.0,
            **{name: getattr(self.campaign, name) for name in INFERENCE},
        )
