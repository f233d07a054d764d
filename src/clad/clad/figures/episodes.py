"""Episodes out of a bag as the pictures need them: figures and errors as `clad bag report` has them, and the foresights."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clad.bag.figures import EpisodeFigures, EpisodeSeries
from clad.bag.kept import Foreseen
from clad.bag.metrics import EPISODE, LATENT_FORESIGHT
from clad.bag.reader import read_messages
from clad.bag.recording import TYPES, read_recording, robot_of
from clad.contract import RobotContract, load_contract
from clad.errors import CladError
from clad.stamps import SECOND, to_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class BagEpisode:
    """An episode of a bag. start: ns, ROS time of its first observation. foreseen: by stamp, at least one."""

    bag: Path
    contract: RobotContract
    figures: EpisodeFigures
    series: EpisodeSeries
    start: int
    foreseen: list[Foreseen] = field(repr=False)

    @property
    def stamps(self) -> np.ndarray:
        """(N,) ns, of the observations that foresights were made from, ascending."""
        return np.array([row.stamp for row in self.foreseen], dtype=np.int64)

    @property
    def tau(self) -> float:
        """s that a foresight looks ahead."""
        return self.foreseen[0].horizon / SECOND

    @property
    def length(self) -> float:
        """s from the first observation to the end of the last control step, or to the last foresight."""
        last = (self.foreseen[-1].stamp - self.start) / SECOND
        return max(last, self.figures.steps * self.contract.control_period)

    @property
    def where(self) -> tuple[str, ...]:
        """Suite and task, evaluation state, seed: as far as the bag knows them; else the bag's name."""
        told = self.figures
        if not told.suite:
            return (self.bag.name,)
        return f"{told.suite} {told.task}", f"init {told.init_index}", f"seed {told.seed}"

    @property
    def setting(self) -> str:
        """Under which protocol it was recorded, in words."""
        told = self.figures
        parts = (told.protocol, told.mode, told.visuals and f"{told.visuals} visuals")
        return ", ".join(filter(None, parts)) or "protocol unknown"


def read_episodes(bag: Path, robot: str = "") -> list[BagEpisode]:
    """The bag's episodes in order, those with foresights; pictures are not read.

    robot: contract of the robot shown; by default the one that the recording tells of. What is wrong with the bag is printed
    on stderr; raises CladError when nothing can be shown of it.
    """
    contract = load_contract(robot) if robot else robot_of(bag)
    recording = read_recording(bag, contract)
    for problem in recording.problems:
        print(f"{bag}: {problem}", file=sys.stderr)
    starts, foreseen = _foreseen(bag)
    found = [
        BagEpisode(
            bag=bag,
            contract=contract,
            figures=episode.figures,
            series=episode.series,
            start=starts.get(episode.figures.episode, rows[0].stamp),
            foreseen=rows,
        )
        for episode in recording.episodes
        if (rows := foreseen.get(episode.figures.episode))
    ]
    if not found:
        raise CladError(f"{bag} has no {LATENT_FORESIGHT}: nothing was foreseen", "Record a graph with a planner")
    return found


def _foreseen(bag: Path) -> tuple[dict[int, int], dict[int, list[Foreseen]]]:
    """By the episode's number: when it began, ns of ROS time, and its foresights in order of their stamps."""
    starts: dict[int, int] = {}
    rows: dict[int, dict[int, Foreseen]] = {}
    for item in read_messages(bag, (EPISODE, LATENT_FORESIGHT)):
        if item.type == TYPES[item.topic]:
            if item.topic == EPISODE:
                starts[item.message.episode] = to_ns(item.message.header.stamp)
            else:
                row = Foreseen.of(item.published, item.message)
                rows.setdefault(item.message.episode, {})[row.stamp] = row
    return starts, {number: [made[stamp] for stamp in sorted(made)] for number, made in rows.items()}
