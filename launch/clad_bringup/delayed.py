"""A free-running graph with a relay that makes its chunks late or loses them, and the delay study through it on LIBERO.

What is injected comes on top of what the graph takes by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from rosgraph_msgs.msg import Clock

from clad.contract import RobotContract
from clad.eval.episodes import EpisodeSpec
from clad.runtime.execution import HOLDS
from clad.sim.rollout import SAMPLED
from clad.study.delay import Condition, Injected, row
from clad_bringup.conductor import Conductor
from clad_bringup.graph import NodeSpec, sim_graph
from clad_interfaces.action import RunEpisode
from clad_interfaces.msg import ActionChunk, ExecutedAction
from clad_ros import topics
from clad_ros.stamps import to_ns

PROMPT = "/action_chunk_prompt"  # where the policy publishes, to be relayed late
NODES = ("policy", "planner", "sim_bridge")
LOOK = 0.005  # s between looks at the wall clock
EPISODE_TIMEOUT = 1800.0  # wall s
_FLAGS = {words: flag for flag, words in HOLDS.items()}


def relayed(graph: Sequence[NodeSpec]) -> list[NodeSpec]:
    """The same graph with its policy published to the relay."""
    return [
        replace(spec, remappings=((topics.ACTION_CHUNK, PROMPT),)) if spec.name == "policy" else spec for spec in graph
    ]


def delayed_graph(arguments: dict[str, str]) -> list[NodeSpec]:
    """The simulated graph in free-run, without recorder and runner, its policy published to the relay."""
    return relayed([spec for spec in sim_graph({**arguments, "mode": "free-run"}) if spec.name in NODES])


class LateRelay:
    """Hands chunks on when their time has come, in the order in which it comes."""

    def __init__(self, conductor: Conductor, *, simulated: bool = True) -> None:
        """simulated: time is the simulation's, as /clock tells it; else the wall clock's, by which an arm lives."""
        node = conductor.node
        self._now = 0
        self._injected: Injected | None = None
        self._coming: list[tuple[int, ActionChunk]] = []
        self.chunks: list[ActionChunk] = []  # as the policy published them
        self._publisher = node.create_publisher(ActionChunk, topics.ACTION_CHUNK, topics.COMMANDING_QOS)
        self._wall = None if simulated else node.get_clock()
        if simulated:
            node.create_subscription(Clock, topics.CLOCK, self._on_clock, topics.CLOCK_QOS)
        else:
            node.create_timer(LOOK, self._look)
        node.create_subscription(ActionChunk, PROMPT, self._on_chunk, topics.INFERENCE_QOS)

    def begin(self, injected: Injected) -> None:
        """An episode with latencies of its own; forgets the chunks of the one before."""
        self._injected = injected
        self._coming.clear()
        self.chunks.clear()

    def _on_chunk(self, message: ActionChunk) -> None:
        if self._injected is None:
            return
        self.chunks.append(message)
        delay = self._injected.next_ms()
        if delay is not None:
            self._look()
            self._coming.append((self._now + round(delay * 1e6), message))
            self._release()

    def _look(self) -> None:
        """The wall clock is read, not waited for."""
        if self._wall is not None:
            self._now = self._wall.now().nanoseconds
            self._release()

    def _on_clock(self, message: Clock) -> None:
        self._now = to_ns(message.clock)
        self._release()

    def _release(self) -> None:
        due = [entry for entry in self._coming if entry[0] <= self._now]
        self._coming = [entry for entry in self._coming if entry[0] > self._now]
        for _, message in sorted(due, key=lambda entry: (entry[0], entry[1].seq)):
            self._publisher.publish(message)


def run_delayed(
    conductor: Conductor,
    contract: RobotContract,
    todo: Iterable[tuple[EpisodeSpec, Condition]],
    keep: Callable[[dict], None],
    *,
    max_steps: int,
) -> None:
    """An episode for each, in sampled scenes, in a graph of `delayed_graph`; keep is called with each row."""
    relay = LateRelay(conductor)
    executed: list[ExecutedAction] = []
    conductor.node.create_subscription(ExecutedAction, topics.EXECUTED_ACTION, executed.append, topics.ACTION_QOS)
    conductor.wait_active(NODES)
    for spec, condition in todo:
        executed.clear()
        relay.begin(Injected(condition, spec.seed))
        goal = RunEpisode.Goal(suite=spec.suite, task=spec.task, seed=spec.seed, protocol=SAMPLED, max_steps=max_steps)
        result = conductor.episode(goal, EPISODE_TIMEOUT)
        conductor.wait(lambda: bool(executed) and executed[-1].step + 1 == result.steps, "the last action", 30.0)
        episode = executed[-1].episode
        steps = [m for m in executed if m.episode == episode]
        keep(
            row(
                spec,
                condition,
                contract,
                success=result.success,
                actions=[np.array(m.values) for m in steps],
                chunks=[m.chunk_seq for m in steps],
                reasons=[
                    "" if m.source == ExecutedAction.SOURCE_CHUNK else _FLAGS.get(m.reason, m.reason) for m in steps
                ],
                planned=[np.array(m.values).reshape(m.steps, -1) for m in relay.chunks if m.episode == episode],
            )
            | {"real_time_factor": result.real_time_factor}
        )
