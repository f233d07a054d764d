"""Data from a file as the types that the code expects, or an error that names the place: files are written by anyone."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

MOST = 1e300  # beyond it a float overflows in the first product; NaN is not below it either


def typed(kind: Any, value: Any, where: str) -> Any:
    """`value`, as YAML or JSON gave it, as a `kind`: lists become tuples, integers floats where a float is wanted.

    kind: str, bool, int, float, None, a union of these, tuple[X, ...], tuple[X, Y], dict[str, X]; anything else is taken
    as it is. A float must be finite. Raises TypeError naming `where` and what it found.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in parts:
            return None
        (kind,) = (part for part in parts if part is not NoneType)
        return typed(kind, value, where)
    if origin is tuple and isinstance(value, (list, tuple)):
        if parts[-1] is Ellipsis:
            parts = (parts[0],) * len(value)
        if len(parts) == len(value):
            return tuple(typed(part, item, f"{where}[{i}]") for i, (part, item) in enumerate(zip(parts, value)))
    elif origin is dict and isinstance(value, dict):
        return {typed(str, k, f"a key of {where}"): typed(parts[1], v, f"{where}.{k}") for k, v in value.items()}
    elif kind is float and _is_number(value) and -MOST < value < MOST:
        return float(value)
    elif kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    elif kind in (str, bool) and isinstance(value, kind):
        return value
    elif kind not in (str, bool, int, float) and origin not in (tuple, dict):
        return value
    raise TypeError(f"{where} is {value!r:.60}, which is no {_words(kind)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _words(kind: Any) -> str:
    names = {str: "text", float: "finite number", int: "whole number", bool: "true or false"}
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        return f"list of {'' if parts[-1] is Ellipsis else f'{len(parts)} '}{_words(parts[0])}"
    return "mapping" if get_origin(kind) is dict else names.get(kind, str(kind))
