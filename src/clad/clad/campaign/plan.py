"""Which conditions a campaign has, and which episodes under each: a function of its file alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from clad.campaign.schema import AXES, Campaign
from clad.errors import UsageError
from clad.eval.episodes import EpisodeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One graph. name: also its folder's. model: as the file names it."""

    name: str
    model: str
    protocol: str
    visuals: str
    mode: str
    execution: str
    delay_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One episode under a condition. repeat: counts from 1."""

    condition: str
    spec: EpisodeSpec
    repeat: int

    @property
    def key(self) -> tuple:
        return (self.condition, self.spec.suite, self.spec.task, self.spec.init_index, self.spec.seed, self.repeat)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """conditions: by name, in the order of running. items: all episodes, those of a condition together."""

    conditions: Mapping[str, Condition]
    items: tuple[Item, ...]

    def of(self, condition: str) -> list[Item]:
        """The episodes of one condition, by name."""
        return [item for item in self.items if item.condition == condition]


def make_plan(
    campaign: Campaign,
    *,
    suite: str,
    tasks: Sequence[int],
    n_states: Mapping[int, int] | None,
    models: Mapping[str, str],
) -> Plan:
    """Every value of every axis with every other, less `exclude`, then `include`.

    suite, tasks: resolved. n_states: a task's evaluation states, None on an arm. models: the names of the bundles that the
    file's names mean. Raises UsageError for a state that does not exist, an exclude that excludes nothing, an empty plan.
    """
    for task in tasks:
        for init in campaign.init if n_states is not None else ():
            if init >= n_states[task]:
                raise UsageError(
                    f"init: {suite} task {task} has no evaluation state {init}", f"Valid: 0 to {n_states[task] - 1}"
                )
    found = [_condition(campaign, dict(zip(AXES, values)), models) for values in product(*_axes(campaign))]
    first = {name: values[0] for name, values in zip(AXES, _axes(campaign))}
    added = [_condition(campaign, {**first, **entry}, models) for entry in campaign.include]
    excluding = [False] * len(campaign.exclude)
    items, conditions = [], {}
    for condition in dict.fromkeys([*found, *added]):
        if conditions.setdefault(condition.name, condition) != condition:
            raise UsageError(f"two models are called {models[condition.model]}", "Give one of them another name")
        kept = []
        for task in tasks:
            hits = [i for i, entry in enumerate(campaign.exclude) if _matches(entry, condition, task)]
            for i in hits:
                excluding[i] = True
            if not hits or condition in added:
                kept.append(task)
        items += _episodes(campaign, condition, suite, kept)
    for i, excludes in enumerate(excluding):
        if not excludes:
            raise UsageError(f"exclude[{i}] excludes nothing: {dict(campaign.exclude[i])}", "Mend it, or leave it out")
    if not items:
        raise UsageError("nothing is left to run", "Exclude less")
    used = {item.condition for item in items}
    return Plan(conditions={name: c for name, c in conditions.items() if name in used}, items=tuple(items))


def _axes(campaign: Campaign) -> list[tuple]:
    return [getattr(campaign, name) for name in AXES]


def _condition(campaign: Campaign, values: dict, models: Mapping[str, str]) -> Condition:
    """In lock-step time waits for each chunk: nothing is joined, nothing is late, whatever the other axes say."""
    if not campaign.simulated:
        values |= {"protocol": "robot", "visuals": "camera", "mode": "free-run"}
    if values["mode"] == "lockstep":
        values |= {"execution": "sync", "delay_ms": 0.0}
    marks = [values["protocol"], values["visuals"], values["mode"]] if campaign.simulated else []
    if values["mode"] != "lockstep":
        marks += [values["execution"], f"{values['delay_ms']:g}ms"]
    return Condition(name="-".join([models[values["model"]], *marks]), **values)


def _matches(entry: Mapping[str, tuple], condition: Condition, task: int) -> bool:
    return all((task if name == "task" else getattr(condition, name)) in values for name, values in entry.items())


def _episodes(campaign: Campaign, condition: Condition, suite: str, tasks: Sequence[int]) -> list[Item]:
    """Repetition by repetition, so that an interrupted campaign has as many of each as can be."""
    return [
        Item(
            condition=condition.name,
            spec=EpisodeSpec(suite=suite, task=task, init_index=init, seed=seed),
            repeat=repeat,
        )
        for repeat in range(1, campaign.repeats + 1)
        for task in tasks
        for init in campaign.init
        for seed in campaign.seed or (init,)
    ]
