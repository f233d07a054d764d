"""What lives on is not walked again; what dies, before or after, is freed."""

from __future__ import annotations

import gc
import time
import weakref

import pytest

from clad_ros.garbage import set_aside


class Cycle:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_before():
    yield
    gc.unfreeze()


def quickest_collection() -> float:
    """Of five: other load on the machine must not decide."""
    took = []
    for _ in range(5):
        started = time.perf_counter()
        gc.collect()
        took.append(time.perf_counter() - started)
    return min(took)


def test_what_lives_on_is_not_walked_again():
    kept = [[] for _ in range(200_000)]
    gc.collect()
    walk = quickest_collection()
    set_aside()
    assert gc.get_freeze_count() > len(kept)
    assert quickest_collection() < walk / 3


def test_garbage_is_freed_whether_it_died_before_or_after():
    dead, dying = Cycle(), Cycle()
    seen = weakref.ref(dead), weakref.ref(dying)
    del dead
    set_aside()
    assert seen[0]() is None and seen[1]() is dying
    del dying
    gc.collect()
    assert seen[1]() is not None  # set aside: not looked at
    set_aside()
    assert seen[1]() is None
