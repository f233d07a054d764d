"""Whatever a robot's YAML says, it becomes a usable contract or a CladError that names the file: never another error."""

from __future__ import annotations

import copy
from importlib import resources

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clad.contract import hold_action, load_contract, native_to_wire, wire_to_native
from clad.errors import CladError

LIBERO = yaml.safe_load((resources.files("clad.contract") / "robots" / "libero.yaml").read_text())
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(float("nan")), st.just("1e999")
)
TREES = st.recursive(SCALARS, lambda t: st.lists(t, max_size=4) | st.dictionaries(st.text(max_size=8), t, max_size=4))


def paths(tree, here=()):
    """Every place in a YAML tree, as a path of keys and indices."""
    yield here
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from paths(value, (*here, key))


def put(tree, path, value):
    if not path:
        return value
    tree = copy.deepcopy(tree)
    place = tree
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return tree


def accepted_is_usable(file) -> bool:
    """Load the file; an accepted contract must do what everyone does with one. False when it was refused."""
    try:
        contract = load_contract(str(file))
    except CladError as error:
        assert str(file) in str(error) or "contract field" in str(error), error
        return False
    n = len(contract.action.names)
    native = np.linspace(-1, 1, n)
    assert np.allclose(wire_to_native(native_to_wire(native, contract.action), contract.action), native)
    assert hold_action(contract.action).shape == (n,)
    assert contract.hash and 0 < contract.control_period < float("inf")
    assert all(isinstance(name, str) for name in (*contract.joint_names, *contract.cameras))
    assert contract.image_size > 0
    return True


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("contracts") / "robot.yaml"


@settings(deadline=None, database=None, max_examples=150)
@given(path=st.sampled_from(list(paths(LIBERO))), value=TREES)
@example(path=("cameras",), value=[])
@example(path=("action", "scale"), value=["a"] * 7)
@example(path=("action", "scale", 0), value=float("inf"))
@example(path=("control_rate",), value="fast")
@example(path=("joint_names", 0), value=[])
@example(path=("image_size",), value=0)
@example(path=("control_rate",), value=1e-320)
@example(path=("control_rate",), value=1e308)
@example(path=("action", "scale", 3), value=1e-310)
@example(path=("action", "gripper_index"), value=True)
def test_one_value_of_a_contract_replaced_by_anything(file, path, value):
    file.write_text(yaml.safe_dump(put(LIBERO, path, value)))
    accepted_is_usable(file)


@settings(deadline=None, database=None, max_examples=60)
@given(data=st.binary(max_size=200))
@example(data=b"name: [")
@example(data=b"\xff\xfe\x00")
@example(data=b"!!python/object/apply:os.system ['true']")
@example(data=b"&a [*a]")
def test_any_bytes_for_a_contract(file, data):
    file.write_bytes(data)
    assert not accepted_is_usable(file)


def test_the_shipped_contract_passes_the_same_check(file):
    file.write_text(yaml.safe_dump(LIBERO))
    assert accepted_is_usable(file)
