"""Values from files arrive as the declared types or not at all."""

from __future__ import annotations

import pytest

from clad.typed import typed


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (str, "a", "a"),
        (float, 3, 3.0),
        (float | None, None, None),
        (tuple[float, ...], [1, 2.5], (1.0, 2.5)),
        (tuple[tuple[float, float], ...] | None, [[0, 1]], ((0.0, 1.0),)),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (bool, True, True),
    ],
)
def test_what_fits_is_converted(kind, value, expected):
    got = typed(kind, value, "x")
    assert got == expected and type(got) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (float, float("nan"), "x is nan, which is no finite number"),
        (float, float("inf"), "finite number"),
        (float, 10**400, "finite number"),
        (float, True, "finite number"),
        (int, 2.0, "whole number"),
        (int, True, "whole number"),
        (str, 5, "x is 5, which is no text"),
        (tuple[float, float], [1.0], "list of 2"),
        (tuple[str, ...], "abc", "x is 'abc', which is no list of text"),
        (tuple[str, ...], ["a", 1], r"x\[1\] is 1"),
        (dict[str, str], {"a": 1}, r"x\.a is 1"),
        (dict[str, str], {1: "a"}, "a key of x"),
        (float | None, "1", "finite number"),
    ],
)
def test_what_does_not_is_refused_by_place(kind, value, words):
    with pytest.raises(TypeError, match=words):
        typed(kind, value, "x")
