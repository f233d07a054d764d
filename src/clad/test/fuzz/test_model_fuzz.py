"""A model that is damaged anywhere is refused with a CladError, or does exactly what the whole one does. Never else."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clad.errors import CladError
from clad.runtime.bundle import load_bundle
from clad.runtime.planner import Planner
from clad.runtime.policy import Policy


def fuzz(examples: int) -> settings:
    return settings(
        deadline=None,
        database=None,
        max_examples=examples,
        suppress_health_check=[HealthCheck.function_scoped_fixture],  # they are not changed by an example
    )


FILES = ("tiny/model.json", "tiny/planner.onnx", "tiny/condition.onnx", "tiny/denoiser.onnx") + tuple(
    f"encoder-tiny/{name}" for name in ("encoder.json", "vision.onnx", "text.onnx", "tokenizer.json")
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text(max_size=5), t, max_size=3),
)


def act(models, contract, make_observation) -> np.ndarray:
    """One observation through planner and policy: (H, N) wire values."""
    bundle = load_bundle(models / "tiny")
    planner, policy = Planner(bundle, contract), Policy(bundle, contract)
    planner.warm_up()
    policy.warm_up()
    planner.reset("put the book in", 1)
    return policy.act(planner.plan(make_observation(0))).values


@pytest.fixture(scope="module")
def copy(tiny_models, tmp_path_factory):
    return shutil.copytree(tiny_models, tmp_path_factory.mktemp("fuzz") / "models")


@pytest.fixture
def whole(tiny_models, contract, make_observation):
    return act(tiny_models, contract, make_observation)


@fuzz(60)
@given(name=st.sampled_from(FILES), data=st.data())
def test_truncated_flipped_or_foreign_bytes(copy, tiny_models, contract, make_observation, whole, name, data):
    original = (tiny_models / name).read_bytes()
    kind = data.draw(st.sampled_from(["truncate", "flip", "foreign", "append"]))
    if kind == "truncate":
        damaged = original[: data.draw(st.integers(0, len(original) - 1))]
    elif kind == "flip":
        at, bit = data.draw(st.integers(0, len(original) - 1)), data.draw(st.integers(0, 7))
        damaged = original[:at] + bytes([original[at] ^ (1 << bit)]) + original[at + 1 :]
    elif kind == "append":
        damaged = original + data.draw(st.binary(min_size=1, max_size=20))
    else:
        damaged = data.draw(st.binary(max_size=100))
    (copy / name).write_bytes(damaged)
    try:
        values = act(copy, contract, make_observation)
    except CladError:
        return
    finally:
        (copy / name).write_bytes(original)
    # only words may have changed that nothing is computed from (a name, a date), all in a sidecar
    assert name.endswith(".json") and np.isfinite(values).all() and values.shape == whole.shape


def places(tree, here=()):
    yield here
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places(value, (*here, key))


@pytest.mark.parametrize("sidecar", ["tiny/model.json", "encoder-tiny/encoder.json"])
@fuzz(80)
@given(data=st.data())
def test_a_sidecar_of_another_schema(copy, tiny_models, contract, make_observation, whole, sidecar, data):
    original = (tiny_models / sidecar).read_text()
    body = json.loads(original)
    path = data.draw(st.sampled_from([p for p in places(body) if p]))
    value = data.draw(VALUES)
    place = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (copy / sidecar).write_text(json.dumps(body))
    try:
        values = act(copy, contract, make_observation)
    except CladError:
        return
    finally:
        (copy / sidecar).write_text(original)
    assert np.isfinite(values).all() and values.shape == whole.shape


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("horizon",), 7),
        (("cameras",), ["agentview"]),
        (("cameras", 1), "rear"),
        (("features",), ["keypoints"]),
        (("features", 0), "other"),
        (("encoder", "name"), "../encoder-tiny"),
        (("files", "../secret"), "0" * 64),
        (("normalisers", "visual", "mean"), [0.0] * 3),
        (("normalisers", "action", "high"), [1.0] * 6),
        (("normalisers", "proprio", "mean", 0), float("nan")),
        (("diffusion", "sample_steps"), 0),
        (("diffusion", "prediction"), "velocity"),
    ],
)
def test_a_sidecar_that_does_not_fit_its_networks(copy, tiny_models, contract, make_observation, path, value):
    original = (tiny_models / "tiny" / "model.json").read_text()
    body = json.loads(original)
    place = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (copy / "tiny" / "model.json").write_text(json.dumps(body))
    try:
        with pytest.raises(CladError):
            act(copy, contract, make_observation)
    finally:
        (copy / "tiny" / "model.json").write_text(original)


@fuzz(25)
@given(data=st.data(), name=st.sampled_from([n for n in FILES if n.endswith(".onnx") and n.startswith("tiny")]))
def test_a_damaged_network_whose_checksum_was_renewed(copy, tiny_models, contract, make_observation, whole, name, data):
    """Someone who rewrites the checksum too gets past it; even then there is a chunk of the right shape or a CladError."""
    original, sidecar = (tiny_models / name).read_bytes(), tiny_models / "tiny" / "model.json"
    cut = data.draw(st.integers(0, len(original) - 1))
    damaged = data.draw(st.sampled_from([original[:cut], original[:cut] + b"\x00" + original[cut + 1 :]]))
    body = json.loads(sidecar.read_text())
    body["files"][name.removeprefix("tiny/")] = hashlib.sha256(damaged).hexdigest()
    (copy / name).write_bytes(damaged)
    (copy / "tiny" / "model.json").write_text(json.dumps(body))
    try:
        values = act(copy, contract, make_observation)
    except CladError:
        return
    finally:
        (copy / name).write_bytes(original)
        (copy / "tiny" / "model.json").write_text(sidecar.read_text())
    assert values.shape == whole.shape
