"""What the planner remembers of an episode: observations tau steps apart and the actions executed between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clad.errors import CladError


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The past as the model takes it: proprio (D_p,), visual (D_v,) at t-tau; actions (tau, N) executed in t-tau..t-1.

    fallback: in words, what stood in for data that never arrived; empty when the past is exact.
    """

    proprio: np.ndarray
    visual: np.ndarray
    actions: np.ndarray
    fallback: str


class History:
    """One episode's past, keyed by control step. All vectors are normalised float32, as the model takes them.

    Before tau steps have passed, the first observation stands in for the one tau steps ago and `hold` (N,), the
    normalised action that stays where it is, for every action before step 0; training uses the same rule. Data that
    should be there later on but never arrived is replaced too, and the replacement is named in `Past.fallback`.
    """

    def __init__(self, *, horizon: int, hold: np.ndarray) -> None:
        self._horizon = horizon
        self._hold = hold
        self._observed: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._executed: dict[int, np.ndarray] = {}
        self._last = -1

    @property
    def last_step(self) -> int:
        """The newest observation's step; -1 before the first."""
        return self._last

    def observe(self, step: int, proprio: np.ndarray, visual: np.ndarray) -> None:
        """Remember the observation of `step`. Raises CladError when time runs backwards within an episode."""
        if step < self._last:
            raise CladError(
                f"an observation of step {step} came after one of step {self._last}",
                "Reset the planner at the start of each episode",
            )
        self._last = step
        self._observed[step] = (proprio, visual)
        # a replacement may be up to tau older than the observation that is asked for
        keep = step - 2 * self._horizon
        for old in [s for s in self._observed if s < keep]:
            del self._observed[old]
        for old in [s for s in self._executed if s < keep]:
            del self._executed[old]

    def execute(self, step: int, action: np.ndarray) -> None:
        """Remember the action (N,) that began to act at control step `step`."""
        self._executed[step] = action

    def past(self) -> Past:
        """The past of the newest observation."""
        now, wanted = self._last, self._last - self._horizon
        source = self._source(wanted)
        notes = []
        if source != max(wanted, 0):
            notes.append(f"observation of step {max(wanted, 0)} missing, step {source} stands in")
        lost = [s for s in range(max(wanted, 0), now) if s not in self._executed]
        if lost:
            notes.append(f"executed action of step {', '.join(map(str, lost))} missing, hold stands in")
        actions = np.stack([self._executed.get(s, self._hold) for s in range(wanted, now)])
        proprio, visual = self._observed[source]
        return Past(proprio=proprio, visual=visual, actions=actions, fallback="; ".join(notes))

    def _source(self, wanted: int) -> int:
        """The step whose observation stands for `wanted`: itself, else the nearest earlier, else the nearest later."""
        earlier = [s for s in self._observed if wanted - self._horizon <= s <= wanted]
        return max(earlier) if earlier else min(s for s in self._observed if s > wanted)
