"""Monitor node: the metrics of the running episode, live, by the code that computes them from its bag."""

from __future__ import annotations

import math
import sys
from functools import partial

from diagnostic_msgs.msg import KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from clad.bag.figures import EpisodeFigures as Figures
from clad.bag.live import as_told
from clad.bag.metrics import EpisodeMeter
from clad.bag.session import SessionMeter
from clad.contract import load_contract
from clad_interfaces.msg import ActionChunk, EpisodeFigures, EpisodeStatus, ExecutedAction, LatentForesight
from clad_ros import topics
from clad_ros.node import CladNode, run_node
from clad_ros.stamps import time_msg

SETTLE = 0.1  # s without a message of an episode that is over after which its figures are told
TELL = 1.0  # s between looks at the running episode
DEPTH = 200  # messages of a topic that may wait for the executor, as in the recorder
# what /diagnostics says of the running episode: a figure by its dotted name
SHOWN = (
    *("steps", "foresight.cosine_p50", "foresight.cosine_persistence_p50", "foresight.ee_position_p50"),
    *("observation_age.p50_ms", "latency.compute.p50_ms", "held_s", "clamped_steps"),
    *("lost.foresights", "lost.chunks", "lost.actions"),
)


class MonitorNode(CladNode):
    """Tells an episode's figures once, after its outcome, on /episode_figures; and how it goes once a second.

    It takes the sender's stamps, as a bag has them, so that the bag's figures equal these bit for bit.
    """

    def __init__(self) -> None:
        super().__init__("monitor")
        self.setting("contract", "libero", "the robot: a shipped contract's name or a YAML file")
        self._entities: list = []

    def configure(self) -> None:
        self._session = SessionMeter(load_contract(self.value("contract")))
        self._over: EpisodeMeter | None = None  # the last episode that has ended
        self._untold = False  # whether its figures are still to be told
        self._heard = False  # whether a message of it came since the last look
        self._publisher = self.create_lifecycle_publisher(
            EpisodeFigures, topics.EPISODE_FIGURES, topics.EPISODE_FIGURES_QOS
        )
        self._entities = [
            self.create_subscription(kind, name, partial(self._take, name), self._patient(qos))
            for kind, name, qos in (
                (EpisodeStatus, topics.EPISODE, topics.EPISODE_QOS),
                (JointState, topics.JOINT_STATES, topics.STATE_QOS),
                (ExecutedAction, topics.EXECUTED_ACTION, topics.ACTION_QOS),
                (LatentForesight, topics.LATENT_FORESIGHT, topics.INFERENCE_QOS),
                (ActionChunk, topics.ACTION_CHUNK, topics.INFERENCE_QOS),
            )
        ]
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._settling = self.create_timer(SETTLE, self._settle, clock=steady, autostart=False)
        self._telling = self.create_timer(TELL, self._show, clock=steady)

    def release(self) -> None:
        if not self._entities:
            return
        for entity in self._entities:
            self.destroy_subscription(entity)
        self._entities = []
        self.destroy_timer(self._settling)
        self.destroy_timer(self._telling)
        self.destroy_lifecycle_publisher(self._publisher)

    @staticmethod
    def _patient(qos: QoSProfile) -> QoSProfile:
        """The same, but nothing is lost while this node computes; and who lives is no concern of it."""
        return QoSProfile(depth=DEPTH, reliability=qos.reliability, durability=qos.durability)

    def _take(self, topic: str, message, info: dict) -> None:
        self._session.feed(topic, info["source_timestamp"], message)
        if topic == topics.JOINT_STATES:
            return
        newest = self._session.newest
        if newest is not self._over and newest.over and not newest.is_echo:
            self._tell()
            self._over = newest
            self._expect()
        elif self._over is not None and message.episode == self._over.episode:
            self._heard = True
            if topic == topics.EPISODE and newest is self._over:  # its outcome is corrected
                self._expect()

    def _expect(self) -> None:
        """There are figures to be told, once the last messages are here."""
        self._untold = self._heard = True
        self._settling.reset()

    def _settle(self) -> None:
        """Between two calls every message that has arrived is taken: none in between means that none was waiting."""
        if self._heard:
            self._heard = False
        else:
            self._tell()

    def _tell(self) -> None:
        """The figures of the episode that is over, unless they are out."""
        self._settling.cancel()
        if not self._untold:
            return
        self._untold, meter = False, self._over
        figures = meter.figures()
        numbers = figures.flat()
        message = EpisodeFigures(
            episode=meter.episode,
            outcome=figures.outcome,
            foresight_cosine=_number(numbers, "foresight.cosine_p50"),
            persistence_cosine=_number(numbers, "foresight.cosine_persistence_p50"),
            observation_age=_number(numbers, "observation_age.p50_ms") / 1e3,
            hold_time=float(figures.held_s),
            figures=[KeyValue(key=name, value=text) for name, text in as_told(figures).items()],
        )
        message.header.stamp = time_msg(meter.start)
        self._publisher.publish(message)
        self._report(figures, f"episode {meter.episode}: {figures.outcome}")

    def _show(self) -> None:
        meter = self._session.newest
        if self.active and meter is not None and meter is not self._over:
            self._report(meter.figures(), f"episode {meter.episode} runs")

    def _report(self, figures: Figures, words: str) -> None:
        numbers = figures.flat()
        self.diagnostics.ok(words, **{name: _text(numbers.get(name)) for name in SHOWN})


def _number(numbers: dict, name: str) -> float:
    value = numbers.get(name)
    return math.nan if value is None else float(value)


def _text(value: float | int | None) -> str:
    return "" if value is None else f"{value:.4g}"


def main() -> None:
    sys.exit(run_node(MonitorNode))
