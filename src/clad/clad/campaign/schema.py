"""A campaign's YAML file: read, checked, and every fault in it told in one line. docs/campaigns.md explains the keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from clad.cli.options import ALL, MODES, MOST, PROTOCOLS, PROVIDERS, VISUALS
from clad.errors import CladError, UsageError, unknown_name
from clad.runtime.catalogue import PRECISIONS
from clad.runtime.joining import STRATEGIES
from clad.study.delay import MOST_MS
from clad.typed import typed

SIM = "sim"
AUTOMATIC, OPERATOR = "automatic", "operator"
# what a condition is made of: each combination is a graph of its own
AXES = ("model", "protocol", "visuals", "mode", "execution", "delay_ms")
NUMBERS = ("task", "init", "seed")  # what its episodes are made of
BENCHMARK = ("suite", "task", "protocol", "visuals", "mode")  # of no meaning on an arm
_CHOICES = {
    "protocol": PROTOCOLS,
    "visuals": VISUALS,
    "mode": MODES,
    "execution": tuple(STRATEGIES),
    "provider": PROVIDERS,
    "precision": PRECISIONS,
    "reset": (AUTOMATIC, OPERATOR),
    "outcome": (AUTOMATIC, OPERATOR),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """The file's content, complete. Tuples are what is combined, each with each.

    robot: 'sim' (LIBERO) or as of `clad robot`. task: 'all', or numbers; none: the first that the model was trained on.
    seed: none: init i has seed i, as `clad sim` runs them. delay_ms: injected before every chunk. max_steps: 0: the
    suite's limit, 600 on an arm. reset, outcome: 'automatic', or 'operator': somebody beside the arm is asked.
    """

    name: str
    robot: str = SIM
    suite: str = ""
    task: tuple[int, ...] | str = ()
    init: tuple[int, ...] = (0,)
    seed: tuple[int, ...] = ()
    model: tuple[str, ...] = ("",)
    protocol: tuple[str, ...] = ("exact",)
    visuals: tuple[str, ...] = ("full",)
    mode: tuple[str, ...] = ("lockstep",)
    execution: tuple[str, ...] = ("hold",)
    delay_ms: tuple[float, ...] = (0.0,)
    repeats: int = 1
    exclude: tuple[Mapping[str, tuple], ...] = ()
    include: tuple[Mapping[str, Any], ...] = ()
    max_steps: int = 0
    instruction: str = ""
    reset: str = AUTOMATIC
    outcome: str = AUTOMATIC
    provider: str = field(default="cpu")
    precision: str = "fp32"
    fused: bool = False
    sample_steps: int = 0
    warm_start: bool = False
    threads: int = 1

    @property
    def simulated(self) -> bool:
        """Whether LIBERO's benchmark is run, and not an arm."""
        return self.robot == SIM

    @property
    def asks(self) -> bool:
        """Whether somebody must be there to answer."""
        return OPERATOR in (self.reset, self.outcome)


_KINDS = get_type_hints(Campaign)


def read_campaign(path: Path) -> Campaign:
    """The campaign in a YAML file; its name is the file's where it has none.

    Raises CladError when the file cannot be read, UsageError naming the first thing that is wrong in it.
    """
    try:
        body = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise CladError(f"{path} cannot be read: {error.strerror}", "Give a campaign's YAML file") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}", "Mend that") from error
    if not isinstance(body, dict):
        raise UsageError(f"{path} holds no campaign", "Write e.g. 'init: 0-9'; docs/campaigns.md lists the keys")
    return parse_campaign({"name": path.stem, **body}, str(path))


def parse_campaign(body: Mapping[str, Any], source: str = "campaign") -> Campaign:
    """A campaign from plain data. Raises UsageError as `read_campaign` does."""
    try:
        campaign = Campaign(**{name: _value(name, value) for name, value in body.items()})
    except TypeError as error:
        raise UsageError(f"{source}: {error}", "docs/campaigns.md lists the keys and what they take") from None
    _check(campaign, body, source)
    return campaign


def _value(name: Any, value: Any) -> Any:
    """The value of a key at the top level. Raises TypeError for a wrong type, UsageError for a wrong word or number."""
    known = [f.name for f in fields(Campaign)]
    if name not in known:
        raise unknown_name("campaign key", str(name), known)
    if name in ("exclude", "include"):
        entries = value if isinstance(value, list) else [value]
        return tuple(_entry(name, i, entry) for i, entry in enumerate(entries))
    if name in AXES or name in NUMBERS:
        return _several(name, value)
    return _one(name, typed(_KINDS[name], value, name))


def _entry(name: str, i: int, entry: Any) -> dict[str, Any]:
    """One of `exclude` or `include`: axes, with several values where conditions are taken away."""
    where = f"{name}[{i}]"
    if not isinstance(entry, dict) or not entry:
        raise TypeError(f"{where} is {entry!r:.60}, which is no mapping such as {{execution: rtc, delay_ms: 0}}")
    known = (*AXES, "task") if name == "exclude" else AXES
    for key in entry:
        if key not in known:
            raise unknown_name(f"key of {where}", str(key), known)
    values = {key: _several(key, value) for key, value in entry.items()}
    if name == "exclude":
        return values
    if many := [key for key, found in values.items() if len(found) > 1]:
        raise UsageError(f"{where} has several values for {many[0]}", "An entry of include is one condition")
    return {key: found[0] for key, found in values.items()}


def _several(name: str, value: Any) -> tuple | str:
    """One value or a list, numbers also as ranges, without repetitions."""
    if name == "task" and value == ALL:
        return ALL
    items = value if isinstance(value, list) else [value]
    if not items:
        raise UsageError(f"{name} is an empty list", "Leave it out, or give a value")
    if name in NUMBERS:
        items = [number for item in items for number in _range(name, item)]
    kind = {"delay_ms": float, **dict.fromkeys(NUMBERS, int)}.get(name, str)
    return tuple(dict.fromkeys(_one(name, typed(kind, item, name)) for item in items))


def _range(name: str, item: Any) -> list[Any]:
    """Whole numbers of '3-7'; anything else is left for the type check."""
    found = re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", item) if isinstance(item, str) else None
    if found is None:
        return [item]
    first, last = int(found[1]), int(found[2])
    if not first <= last <= MOST:
        raise UsageError(f"{name}: the range {item} has nothing in it", "Write it as 0-9, the smaller number first")
    if last - first >= 100_000:
        raise UsageError(f"{name}: the range {item} has {last - first + 1} numbers", "Give at most 100000")
    return [*range(first, last + 1)]


def _one(name: str, value: Any) -> Any:
    if name in _CHOICES and value not in _CHOICES[name]:
        raise unknown_name(name, value, _CHOICES[name])
    least = 1 if name in ("repeats", "threads") else 0
    if type(value) is int and not least <= value <= MOST:
        raise UsageError(f"{name} is {value}", f"Give {least} to {MOST}")
    if name == "delay_ms" and not 0 <= value <= MOST_MS:
        raise UsageError(f"delay_ms is {value:g}", f"Give 0 to {MOST_MS:g} ms")
    if name == "name" and not re.fullmatch(r"[\w.-]+", value):
        raise UsageError(f"the campaign's name is '{value}'", "It becomes a folder: letters, digits, dots and dashes")
    return value


def _check(campaign: Campaign, body: Mapping[str, Any], source: str) -> None:
    """What no key shows by itself."""
    if not campaign.simulated:
        if odd := [name for name in BENCHMARK if name in body]:
            raise UsageError(f"{source}: {odd[0]} is LIBERO's, and robot is {campaign.robot}", f"Leave {odd[0]} out")
        return
    if campaign.asks:
        raise UsageError(f"{source}: an operator is asked, but LIBERO resets and judges itself", "Choose a robot")
    if campaign.instruction:
        raise UsageError(f"{source}: instruction is for an arm; LIBERO's tasks have their own", "Leave it out")
    late = campaign.execution != ("hold",) or campaign.delay_ms != (0.0,)
    if late and set(campaign.mode) == {"lockstep"}:
        raise UsageError(
            f"{source}: execution and delay_ms mean nothing in lock-step, where time waits for each chunk",
            "Add mode: free-run",
        )
