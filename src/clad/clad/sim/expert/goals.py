"""From a task's goal, as its BDDL file states it, to the skills that reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from clad.errors import UsageError
from clad.sim.expert.basket import into_basket
from clad.sim.expert.book import into_caddy
from clad.sim.expert.drawer import close_drawer, into_drawer
from clad.sim.expert.microwave import close_microwave, into_microwave
from clad.sim.expert.operator import OPEN, Operator
from clad.sim.expert.placing import set_down
from clad.sim.expert.stove import turn_on

Goal = tuple[str, ...]  # a predicate and what it is about: ('in', 'book_1', 'caddy_1_contain_region')

# which skill attempts which goal; the first pattern that fits counts. In the order in which goals are pursued: a stove is
# turned on before its burner is full, a door is closed when what belongs behind it is there.
_SKILLS: tuple[tuple[Goal, Callable[..., None]], ...] = (
    (("turnon", "flat_stove_*"), turn_on),
    (("in", "*", "basket_*_contain_region"), into_basket),
    (("in", "black_book_*", "desk_caddy_*_back_contain_region"), into_caddy),
    (("in", "akita_black_bowl_*", "white_cabinet_*_bottom_region"), into_drawer),
    (("in", "white_yellow_mug_*", "microwave_*_heating_region"), into_microwave),
    (("on", "*", "*"), set_down),
    (("close", "white_cabinet_*_bottom_region"), close_drawer),
    (("close", "microwave_*"), close_microwave),
)
_ATTEMPTS = 12


def pursue(op: Operator) -> None:
    """Attempt the first goal that does not hold, look again, and so on, until all hold."""
    goals = in_order(op.scene.goals)
    for _ in range(_ATTEMPTS):
        goal = next((goal for goal in goals if not op.scene.holds(*goal)), None)
        if goal is None:
            return
        _SKILLS[_rank(goal)][1](op, *goal[1:])
        if not op.scene.holds(*goal):
            op.stay(4, OPEN)  # it may still be falling


def in_order(goals: Iterable[Goal]) -> list[Goal]:
    """The goals in the order in which they are pursued. Raises UsageError for one that no skill reaches."""
    return sorted(goals, key=_rank)


def _rank(goal: Goal) -> int:
    for rank, (pattern, _) in enumerate(_SKILLS):
        if len(pattern) == len(goal) and all(map(fnmatchcase, goal, pattern)):
            return rank
    known = ", ".join(" ".join(pattern) for pattern, _ in _SKILLS)
    raise UsageError(f"no expert skill for the goal '{' '.join(goal)}'", f"There are skills for: {known}")
