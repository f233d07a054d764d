"""Messages to what is drawn: one entity a signal, on ROS time. The names here are those of the layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clad.bag.kept import Foreseen, Planned
from clad.bag.metrics import ACTION_CHUNK, EPISODE, EXECUTED_ACTION, LATENT_FORESIGHT, RUNNING
from clad.bag.pictures import CAMERA_SUFFIX, picture
from clad.contract import RobotContract, native_to_wire
from clad.errors import CladError
from clad.look.errors import RunningErrors
from clad.look.layout import TIMELINE, layout, styles
from clad.look.rate import Rate
from clad.look.standing import DIAGNOSTICS, SAFETY_STATUS, Standing
from clad.stamps import SECOND, seconds, to_ns

if TYPE_CHECKING:
    import rerun as rr

TOPICS = (EPISODE, EXECUTED_ACTION, LATENT_FORESIGHT, ACTION_CHUNK, SAFETY_STATUS, DIAGNOSTICS)
TELL_EVERY = SECOND // 2  # ns between two versions of the words
QUALITY = 85  # of JPEG; a picture of 128 pixels then takes 4 kB in place of 49
_WALL = 10**9 * SECOND  # stamps above are on the wall clock, those below on a simulator's


class Scene:
    """Draws into a Rerun recording whatever it is fed. Of two pictures within 1 / image_rate s only the first is drawn."""

    def __init__(self, stream: rr.RecordingStream, contract: RobotContract, image_rate: float = float("inf")) -> None:
        self._stream = stream
        self._contract = contract
        self._between = round(SECOND / image_rate)
        self._drawn: dict[str, int] = {}  # camera -> when its last picture was published, ns
        self._standing = Standing()
        self._rates = {name: Rate() for name in ("planner", "policy", "control")}
        self._errors = RunningErrors(round(contract.control_period * SECOND) // 2)
        self._states: dict[str, str] = {}
        self._now = 0  # ROS time of the newest observation or action, ns
        self._told = 0
        stream.send_blueprint(layout(contract))
        for entity, style in styles(contract):
            stream.log(entity, style, static=True)

    @property
    def topics(self) -> list[str]:
        """What can be drawn."""
        return [*TOPICS, *(f"/{camera}{CAMERA_SUFFIX}" for camera in self._contract.cameras)]

    def feed(self, topic: str, published: int, message: Any) -> None:
        """One message, in the order heard. published: the sender's stamp, ns of wall time."""
        if topic.endswith(CAMERA_SUFFIX):
            self._picture(topic.removesuffix(CAMERA_SUFFIX).strip("/"), published, message)
            return
        if topic == LATENT_FORESIGHT:
            self._foresight(published, message)
        elif topic == ACTION_CHUNK:
            self._chunk(published, message)
        elif topic == EXECUTED_ACTION:
            self._action(published, message)
        elif topic == EPISODE and message.phase == RUNNING:
            self._at(to_ns(message.header.stamp))
        lines = self._standing.feed(topic, message)
        self._at(self._now)
        for level, words in lines:
            self._log("log", self._rr.TextLog(words, level=level))
        if topic == EPISODE:
            self._state("episode", self._standing.phase)
        elif topic == SAFETY_STATUS:
            self._state("safety", self._standing.safety)
        self.tell(published, now=bool(lines))

    def tell(self, published: int, *, now: bool = False) -> None:
        """The words and rates as they stand, at most once in TELL_EVERY unless `now`; also while nothing comes."""
        if not now and 0 <= published - self._told < TELL_EVERY:
            return
        self._told = published
        rates = {name: rate.at(published) for name, rate in self._rates.items()}
        self._at(self._now)
        self._log("status", self._rr.TextDocument(self._standing.markdown(rates), media_type="text/markdown"))
        for name, hertz in rates.items():
            self._scalar(f"rate/{name}", hertz)

    # --- internals

    def _picture(self, camera: str, published: int, message: Any) -> None:
        if 0 <= published - self._drawn.get(camera, -self._between) < self._between:
            return
        self._drawn[camera] = published
        try:
            image = picture(message)
        except CladError as error:
            self._log("log", self._rr.TextLog(f"{camera}: {error}", level="WARN"))
            return
        self._at(to_ns(message.header.stamp))
        self._log(f"camera/{camera}", self._rr.Image(image).compress(jpeg_quality=QUALITY))

    def _foresight(self, published: int, message: Any) -> None:
        seen = Foreseen.of(published, message)
        self._rates["planner"].feed(published, seen.seq)
        self._at(seen.stamp)
        for name, error in self._errors.feed(seen).items():
            field = name.removesuffix("_persistence")
            kind = "foresight" if field == name else "nothing_changes"
            group = "scene" if field == "cosine" else f"proprio/{field}"
            self._scalar(f"foresight/{group}/{kind}", error)
        self._scalar("latency/encoder", 1e3 * seen.encode)
        self._scalar("latency/planner", 1e3 * seen.plan)

    def _chunk(self, published: int, message: Any) -> None:
        planned = Planned.of(published, message)
        self._rates["policy"].feed(published, planned.seq)
        self._at(planned.observed)
        self._scalar("latency/policy", 1e3 * planned.policy)
        if planned.values is None or planned.values.shape[1] != len(self._contract.action.names):
            return
        due = to_ns(message.header.stamp) + to_ns(message.step_dt) * np.arange(len(planned.values))
        for name, values in zip(self._contract.action.names, planned.values.T):
            columns = self._rr.Scalars.columns(scalars=values)
            self._stream.send_columns(f"action/{name}/planned", indexes=[self._column(due)], columns=columns)

    def _action(self, published: int, message: Any) -> None:
        self._rates["control"].feed(published, message.step)
        self._at(to_ns(message.header.stamp))
        if len(message.values) == len(self._contract.action.names):
            wire = native_to_wire(np.array(message.values), self._contract.action)
            for name, value in zip(self._contract.action.names, wire):
                self._scalar(f"action/{name}/executed", value)
        self._state("control", {1: "moving", 2: "holding", 3: "by service"}.get(message.source, "unknown"))

    def _state(self, name: str, state: str) -> None:
        if self._states.get(name) != state:
            self._states[name] = state
            self._log(f"state/{name}", self._rr.StateChange(state=state))

    def _scalar(self, entity: str, value: float) -> None:
        self._log(entity, self._rr.Scalars(value))

    def _log(self, entity: str, what: Any) -> None:
        self._stream.log(entity, what)

    def _at(self, stamp: int) -> None:
        """Whatever is drawn next is of this ROS time."""
        self._now = stamp
        on_wall_clock = stamp > _WALL
        self._stream.set_time(TIMELINE, **{"timestamp" if on_wall_clock else "duration": seconds(stamp)})

    def _column(self, stamps: np.ndarray) -> Any:
        times = stamps.astype("timedelta64[ns]" if stamps[0] <= _WALL else "datetime64[ns]")
        return self._rr.TimeColumn(TIMELINE, **{"duration" if stamps[0] <= _WALL else "timestamp": times})

    @property
    def _rr(self):
        import rerun

        return rerun
