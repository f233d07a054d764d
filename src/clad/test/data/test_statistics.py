"""Normalisers come from the right data and survive their sidecar bit for bit."""

import json

import numpy as np
from tiny_demos import CAMERAS, FEATURES, encoded

from clad.contract import load_contract
from clad.data import statistics
from clad.data.windows import build_windows

SETTINGS = dict(proprio="joint16_ee7", cameras=CAMERAS, features=FEATURES, action=load_contract("libero").action)


def fitted(**changes):
    episode = encoded(40, **changes)
    windows = build_windows([episode], horizon=4, **SETTINGS)
    return episode, windows, statistics.fit(windows)


def test_standardised_data_are_standard():
    _, windows, normalisers = fitted()
    for name in ("proprio", "visual"):
        values = getattr(normalisers, name)(getattr(windows, name))
        np.testing.assert_allclose(values.mean(0), 0, atol=0.1)
        np.testing.assert_allclose(values.std(0), 1, atol=0.1)
        assert np.abs(values).max() <= getattr(normalisers, name).clip


def test_actions_span_the_labels_worth_imitating():
    expert = np.random.default_rng(0).uniform(-0.5, 0.5, (40, 7))
    expert[20:24] = 0.9  # a mistake made on purpose
    expert[:, 3] = 0.2
    valid = np.ones(40, dtype=bool)
    valid[20:24] = False
    _, windows, normalisers = fitted(expert=expert, label_valid=valid)
    assert normalisers.action.high.max() <= 0.5 and normalisers.action.low.min() >= -0.5
    assert normalisers.action.high[3] - normalisers.action.low[3] >= statistics.MIN_ACTION_SPAN
    labels = normalisers.action(windows.chunks[windows.imitable])
    assert labels.min() == -1 and labels.max() == 1


def test_a_dead_dimension_is_not_blown_up():
    _, windows, normalisers = fitted(joint_velocity=np.full((40, 7), 0.3))
    assert np.abs(normalisers.proprio(windows.proprio)[:, 7:14]).max() < 1e-3


def test_round_trip():
    _, _, normalisers = fitted()
    back = statistics.from_json(json.loads(json.dumps(statistics.to_json(normalisers))))
    for name in ("proprio", "visual"):
        a, b = getattr(normalisers, name), getattr(back, name)
        assert (
            np.array_equal(a.mean, b.mean)
            and np.array_equal(a.std, b.std)
            and a.clip == b.clip
            and b.mean.dtype == np.float32
        )
    assert np.array_equal(back.action.low, normalisers.action.low) and np.array_equal(
        back.action.high, normalisers.action.high
    )
