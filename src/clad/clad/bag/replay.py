"""A recording's observations through the same models once more: is every foresight and every chunk made again, bit for bit?

A foresight is a function of its observation, the one tau steps before and the actions executed in between; a chunk of one
foresight message. All of that is in a recording, joined by stamp, step and number, whenever it was received. In lock-step
every foresight and chunk must come out equal. In free-run an action may have reached the planner too late for its plan, and
real-time chunking continues what was acting then: what can be made again is compared, and what cannot is said.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clad.bag.metrics import ACTION_CHUNK, EPISODE, EXECUTED_ACTION, JOINT_STATES, LATENT_FORESIGHT
from clad.bag.reader import BagMessage, read_messages
from clad.bag.remade import Remade
from clad.contract import Observation
from clad.errors import CladError
from clad.runtime.types import FORESIGHT_ARRAYS, Foresight
from clad.stamps import SECOND, to_ns
from clad.wire import foresight_from_message, observation_from_messages

EE_POSE = "/ee_pose"
# of the time received: by how much one topic may lag behind another in a recording, and for how long what was observed and
# done is kept while newer comes
WINDOW, KEPT = 2 * SECOND, 10 * SECOND
_Pairs = dict[str, tuple[np.ndarray, np.ndarray]]
RTC = "real-time chunking continued what was acting then, which only the policy knew"


@dataclass(slots=True, kw_only=True)
class Count:
    """Messages of one topic. unpaired: those that cannot be made again, by reason."""

    equal: int = 0
    different: int = 0
    unpaired: Counter[str] = field(default_factory=Counter)

    @property
    def n(self) -> int:
        return self.equal + self.different + self.unpaired.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where a message differs from what was made again: `values` of `of` numbers of one field, by at most max_abs.

    max_abs: in the field's unit; None where the two are not of one length.
    """

    topic: str
    episode: int
    step: int
    field: str
    values: int
    of: int
    max_abs: float | None


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What came of one recording; `asdict` gives JSON. model: its id. first: the first difference in the recording."""

    path: str
    model: str
    mode: str
    foresights: Count = field(default_factory=Count)
    chunks: Count = field(default_factory=Count)
    first: Difference | None = None

    @property
    def repeats(self) -> bool:
        """Whether all of it was made again, and is equal."""
        return all(count.equal == count.n for count in (self.foresights, self.chunks))

    @property
    def differs(self) -> bool:
        """Whether something was made again and is not equal, or nothing could be."""
        return bool(self.foresights.different or self.chunks.different or not self.foresights.equal)


def replay(path: Path, remade: Remade) -> Replayed:
    """Stream a recording through `remade`, its models. Holds some seconds of it at a time.

    Raises CladError for a recording of other models, and where there is no foresight to compare with.
    """
    found = Replayed(path=str(path), model=remade.bundle.id, mode=remade.mode)
    reading = _Replay(found, remade)
    for item in read_messages(path, reading.topics):
        reading.take(item)
    reading.finish()
    if not found.foresights.n:
        raise CladError(f"{path}: {LATENT_FORESIGHT}: nothing to compare with", "Record the planner's topics too")
    return found


class _Recent(dict):
    """Key -> what was recorded under it of late."""

    def __init__(self) -> None:
        super().__init__()
        self._arrived: deque[tuple[int, Any]] = deque()

    def keep(self, received: int, key: Any, value: Any) -> None:
        """What is told again is kept once more; what is much older goes."""
        self[key] = value
        self._arrived.append((received, key))
        while received - self._arrived[0][0] > KEPT:
            self.pop(self._arrived.popleft()[1], None)


class _Replay:
    """Foresights and chunks wait until everything around them is read, then each is made again and compared."""

    def __init__(self, found: Replayed, remade: Remade) -> None:
        self._found, self._remade = found, remade
        self._cameras = {f"/{camera}/image_raw": camera for camera in remade.bundle.cameras}
        self._observed = {topic: _Recent() for topic in (*self._cameras, JOINT_STATES, EE_POSE)}  # by stamp
        self._actions = _Recent()  # by (episode, step)
        self._foresights = _Recent()  # by (episode, seq)
        self._waiting: deque[BagMessage] = deque()
        self._last: tuple[tuple[int, int], Foresight] | None = None  # (episode, stamp) that was made again last

    @property
    def topics(self) -> list[str]:
        return [EPISODE, EXECUTED_ACTION, LATENT_FORESIGHT, ACTION_CHUNK, *self._observed]

    def take(self, item: BagMessage) -> None:
        """The next message of the recording."""
        message = item.message
        if item.topic in self._observed:
            self._observed[item.topic].keep(item.received, to_ns(message.header.stamp), message)
        elif item.topic == EXECUTED_ACTION:
            values = np.array(message.values, dtype=np.float64)
            self._actions.keep(item.received, (message.episode, message.step), values)
        elif item.topic != EPISODE:
            self._remade.require_model(message.model_id)
            if item.topic == LATENT_FORESIGHT:
                self._foresights.keep(item.received, (message.episode, message.seq), message)
            self._waiting.append(item)
        while self._waiting and item.received - self._waiting[0].received > WINDOW:
            self._judge(self._waiting.popleft())

    def finish(self) -> None:
        """Nothing more comes."""
        while self._waiting:
            self._judge(self._waiting.popleft())

    def _judge(self, item: BagMessage) -> None:
        of_planner = item.topic == LATENT_FORESIGHT
        count = self._found.foresights if of_planner else self._found.chunks
        try:
            step, gap, pairs = self._foresight(item.message) if of_planner else self._chunk(item.message)
        except CladError as error:
            count.unpaired[str(error)] += 1
            return
        differing = [_difference(item, step, name, *pair) for name, pair in pairs.items() if not _same(*pair)]
        if not differing:
            count.equal += 1
        elif gap:
            count.unpaired[f"a gap in the history: {gap}"] += 1
        else:
            count.different += 1
            self._found.first = self._found.first or differing[0]

    def _foresight(self, message: Any) -> tuple[int, str, _Pairs]:
        """Control step, the gap in its history in words, and field -> (recorded, made again)."""
        key = (message.episode, to_ns(message.header.stamp))
        if self._last is None or self._last[0] != key:  # else it was told again
            observation = self._observation(message, key[1])
            actions = {step: a for (episode, step), a in self._actions.items() if episode == message.episode}
            self._last = key, self._remade.foresight(message, observation, actions)
        made, recorded = self._last[1], foresight_from_message(message)
        names = [name for name in FORESIGHT_ARRAYS if hasattr(message, name)]  # older recordings have fewer
        return message.step, made.fallback, {name: (getattr(recorded, name), getattr(made, name)) for name in names}

    def _observation(self, message: Any, stamp: int) -> Observation:
        missing = [topic for topic, seen in self._observed.items() if stamp not in seen]
        if missing:
            raise CladError(f"no {', '.join(missing)} of its stamp")
        seen = {topic: messages[stamp] for topic, messages in self._observed.items()}
        images = {camera: seen[topic] for topic, camera in self._cameras.items()}
        contract = self._remade.contract
        return observation_from_messages(
            images, seen[JOINT_STATES], seen[EE_POSE], step=message.step, contract=contract
        )

    def _chunk(self, message: Any) -> tuple[int, str, _Pairs]:
        foresight = self._foresights.get((message.episode, message.foresight_seq))
        if foresight is None:
            raise CladError(f"its {LATENT_FORESIGHT} is not there")
        if self._remade.continues:
            raise CladError(RTC)
        made = self._remade.chunk(message.episode, foresight_from_message(foresight))
        return foresight.step, "", {"values": (np.asarray(message.values, dtype=np.float32), made.values.ravel())}


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def _difference(item: BagMessage, step: int, name: str, recorded: np.ndarray, made: np.ndarray) -> Difference:
    alike = recorded.shape == made.shape
    return Difference(
        topic=item.topic,
        episode=item.message.episode,
        step=step,
        field=name,
        values=int((recorded != made).sum()) if alike else max(recorded.size, made.size),
        of=recorded.size,
        max_abs=float(np.abs(recorded - made).max()) if alike else None,
    )
