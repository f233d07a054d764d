"""From a preset's name or a YAML file to a configuration, and from a stored one back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from clad.errors import UsageError, unknown_name
from clad.model.config.presets import PRESETS
from clad.model.config.sections import Config
from clad.model.variants import VARIANTS

T = TypeVar("T")


def load_config(name_or_path: str, changes: Sequence[str] = (), *, variants: Sequence[str] = ()) -> Config:
    """A preset by name or a YAML file by path, then named variants, then `section.key=value` changes, each in order.

    A YAML file may start from a preset: `preset: small`. Raises UsageError for anything unknown, naming valid ones.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise UsageError(f"configuration {path} does not exist", f"Or use a preset: {', '.join(PRESETS)}")
        body = yaml.safe_load(path.read_text()) or {}
        if not isinstance(body, dict):
            raise UsageError(f"configuration {path} is not a mapping", "Sections: " + ", ".join(asdict(Config())))
        config = merge(_preset(body.pop("preset", "small")), body)
    else:
        config = _preset(name_or_path)
    for name in variants:
        if name not in VARIANTS:
            raise unknown_name("variant", name, VARIANTS)
        config = merge(config, VARIANTS[name].changes)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise UsageError(f"'{change}' is not section.key=value", "E.g. --set policy.foresight=none")
        body: Any = yaml.safe_load(value)
        for part in reversed(key.split(".")):
            body = {part: body}
        config = merge(config, body)
    return config


def merge(base: T, changes: Mapping[str, Any], where: str = "") -> T:
    """`base` with nested `changes` applied and validated again. Raises UsageError for an unknown key or a wrong type."""
    known = {f.name: f for f in fields(base)}
    values = {}
    for key, value in changes.items():
        name = f"{where}{key}"
        if key not in known:
            raise unknown_name("configuration key", name, (f"{where}{k}" for k in known))
        present = getattr(base, key)
        if is_dataclass(present):
            if not isinstance(value, Mapping):
                raise UsageError(f"'{name}' is a section", f"Its keys: {', '.join(f.name for f in fields(present))}")
            values[key] = merge(present, value, f"{name}.")
        else:
            values[key] = _typed(name, value, present)
    return dataclasses.replace(base, **values)


def from_dict(cls: type[T], body: dict[str, Any]) -> T:
    """One section rebuilt from what `dataclasses.asdict` wrote into a sidecar."""
    known = {f.name for f in fields(cls)}
    for key in body:
        if key not in known:
            raise unknown_name("configuration key", key, known)
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in body.items()})


def _preset(name: str) -> Config:
    if name not in PRESETS:
        raise unknown_name("configuration", name, PRESETS)
    return PRESETS[name]


def _typed(name: str, value: Any, present: Any) -> Any:
    """`value` as the type of the `present` one; numbers may be written as YAML reads them (1e-3 is a string to it)."""
    wanted = type(present)
    if wanted is tuple:
        return tuple(str(v) for v in value) if isinstance(value, (list, tuple)) else tuple(str(value).split(","))
    if wanted is bool or isinstance(value, bool):
        if wanted is bool and isinstance(value, bool):
            return value
    elif wanted is str and isinstance(value, str):
        return value
    elif wanted in (int, float):
        try:
            number = float(value)
            if wanted is float or number == int(number):
                return wanted(number)
        except (TypeError, ValueError):
            pass
    raise UsageError(f"'{name}' takes {wanted.__name__}, not {value!r}", f"At present it is {present!r}")
