"""A campaign's file: what it means, and one line with the remedy for everything that is wrong in it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from clad.campaign.plan import make_plan
from clad.campaign.schema import parse_campaign, read_campaign
from clad.errors import UsageError

EXAMPLES = sorted((Path(__file__).parents[4] / "launch" / "config" / "campaigns").glob("*.yaml"))


def plan(body, tasks=(5,), models=None):
    campaign = parse_campaign({"name": "test", **body})
    given = [*campaign.model, *(e["model"] for e in campaign.include if "model" in e)]
    models = models or {name: name or "default" for name in given}
    if not campaign.simulated:
        return make_plan(campaign, suite="fake", tasks=(0,), n_states=None, models=models)
    tasks = campaign.task or tasks
    return make_plan(campaign, suite="libero_10", tasks=tasks, n_states=dict.fromkeys(tasks, 50), models=models)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("executions: hold", "unknown campaign key 'executions'. Did you mean execution or"),
        ("execution: rtx", "unknown execution 'rtx'. Did you mean rtc?"),
        ("mode: freerun", "unknown mode 'freerun'. Did you mean free-run?"),
        ("init: [0, ten]", "init is 'ten', which is no whole number"),
        ("init: 9-0", "the range 9-0 has nothing in it"),
        ("init: []", "init is an empty list"),
        ("init: -1", "init is -1. Give 0"),
        ("repeats: 0", "repeats is 0. Give 1"),
        ("repeats: true", "repeats is True, which is no whole number"),
        ("fused: 1", "fused is 1, which is no true or false"),
        ("delay_ms: -5", "delay_ms is -5"),
        ("delay_ms: .nan", "which is no finite number"),
        ("mode: lockstep\ndelay_ms: 100", "Add mode: free-run"),
        ("reset: operator", "LIBERO resets and judges itself"),
        ("robot: fake\nvisuals: fast", "visuals is LIBERO's, and robot is fake. Leave visuals out"),
        ("exclude: rtc", "exclude[0] is 'rtc', which is no mapping"),
        ("exclude: [{executoin: rtc}]", "Did you mean execution?"),
        ("include: [{delay_ms: [0, 1]}]", "An entry of include is one condition"),
        ("name: a/b", "It becomes a folder"),
        ("- init", "holds no campaign"),
        ("init: [0", "is no YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, text, said):
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as error:
        read_campaign(file)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"init": "45-50"}, "libero_10 task 5 has no evaluation state 50. Valid: 0 to 49"),
        ({"mode": "free-run", "exclude": [{"execution": "rtc"}]}, "exclude[0] excludes nothing"),
        ({"exclude": [{"mode": "lockstep"}]}, "nothing is left to run"),
    ],
)
def test_a_plan_that_cannot_be(body, said):
    with pytest.raises(UsageError, match=said.replace("[", r"\[")):
        plan(body)


def test_two_models_of_one_name_are_refused():
    with pytest.raises(UsageError, match="two models are called same"):
        plan({"model": ["a", "b"]}, models={"a": "same", "b": "same"})


@given(
    init=st.lists(st.integers(0, 49), min_size=1, max_size=4),
    seed=st.lists(st.integers(0, 99), max_size=3),
    task=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    execution=st.lists(st.sampled_from(["hold", "rtc", "blend"]), min_size=1),
    delay=st.lists(st.integers(0, 400), min_size=1, max_size=3),
    repeats=st.integers(1, 3),
)
def test_every_value_meets_every_other_once(init, seed, task, execution, delay, repeats):
    body = {"init": init, "task": task, "mode": "free-run", "execution": execution, "delay_ms": delay}
    found = plan(body | {"repeats": repeats} | ({"seed": seed} if seed else {}))
    wanted = {
        (e, d, t, i, s, r)
        for e, d, t, i, r in itertools.product(execution, delay, task, init, range(1, repeats + 1))
        for s in (seed or [i])
    }
    got = [
        (c.execution, c.delay_ms, item.spec.task, item.spec.init_index, item.spec.seed, item.repeat)
        for item in found.items
        for c in [found.conditions[item.condition]]
    ]
    assert len(got) == len(set(got)) and set(got) == wanted
    assert [name for name, _ in itertools.groupby(item.condition for item in found.items)] == list(found.conditions)


def test_lockstep_is_one_condition_whatever_the_delays():
    found = plan({"mode": ["lockstep", "free-run"], "execution": ["hold", "rtc"], "delay_ms": [0, 50.5]})
    assert [c.name for c in found.conditions.values()] == [
        "default-exact-full-lockstep",
        *(f"default-exact-full-free-run-{e}-{d}ms" for e in ("hold", "rtc") for d in ("0", "50.5")),
    ]
    assert found.conditions["default-exact-full-lockstep"].execution == "sync"


def test_exclude_takes_away_and_include_adds():
    body = {"mode": "free-run", "execution": ["hold", "rtc"], "delay_ms": [0, 100], "task": [5, 6]}
    body |= {"exclude": [{"execution": "rtc", "delay_ms": 0}, {"delay_ms": 100, "task": 6}]}
    body |= {"include": [{"execution": "sync", "delay_ms": 200}]}
    found = plan(body)
    tasks = {name.partition("free-run-")[2]: [i.spec.task for i in found.of(name)] for name in found.conditions}
    assert tasks == {"hold-0ms": [5, 6], "hold-100ms": [5], "rtc-100ms": [5], "sync-200ms": [5, 6]}


def test_an_arm_has_scenes_without_end_and_no_benchmark():
    found = plan({"robot": "fake", "init": 700})
    (item,) = found.items
    assert (item.condition, item.spec.suite, item.spec.seed) == ("default-hold-0ms", "fake", 700)
    assert found.conditions[item.condition].mode == "free-run"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_shipped_campaigns_can_be_planned(file):
    body = yaml.safe_load(file.read_text())
    assert len(plan(body).items) == {"delay": 60, "arm": 20}[file.stem]
