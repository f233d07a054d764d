"""What a foresight is held against, and the distances, against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from clad.contract.proprio import PROPRIO_VARIANTS, fields_of_length, proprio_dim
from clad.eval.foresight import cosine, pairs, proprio_errors


@given(stamps=st.sets(st.integers(0, 60), max_size=12), horizon=st.integers(1, 20), tolerance=st.integers(0, 5))
def test_pairs_by_brute_force(stamps, horizon, tolerance):
    stamps = np.array(sorted(stamps), dtype=np.int64)
    found = pairs(stamps, np.full(len(stamps), horizon), tolerance)
    expected = {}
    for i, stamp in enumerate(stamps):
        later = [j for j in range(len(stamps)) if abs(stamps[j] - stamp - horizon) <= tolerance]
        if later:
            nearest = min(later, key=lambda j: (abs(stamps[j] - stamp - horizon), j))
            if nearest > i:
                expected[i] = nearest
    assert {int(i): int(j) for i, j in found} == expected


def test_rotations_are_apart_by_their_angle_whatever_their_sign():
    turns = Rotation.from_rotvec([[0, 0, 0.3], [1e-4, 0, 0], [0, 3.0, 0]])
    measured = np.zeros((3, proprio_dim("ee9")))
    predicted = measured.copy()
    measured[:, 5:9] = [0, 0, 0, 1]
    predicted[:, 5:9] = -2.0 * turns.as_quat()  # a network's output is of no unit length
    predicted[:, 2:5] = [0.03, 0.04, 0]
    errors = proprio_errors(predicted, measured)
    np.testing.assert_allclose(errors["ee_quaternion"], [0.3, 1e-4, 3.0], rtol=1e-6)
    np.testing.assert_allclose(errors["ee_position"], 0.05)
    np.testing.assert_allclose(errors["gripper_position"], 0.0)


def test_cosine_of_nothing_is_nothing():
    found = cosine(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [1.0, 0.0]]))
    assert found[0] == pytest.approx(np.sqrt(0.5)) and np.isnan(found[1])


def test_a_length_names_one_variant():
    """Messages say how long proprio is and not which variant it is."""
    lengths = [proprio_dim(name) for name in PROPRIO_VARIANTS]
    assert len(set(lengths)) == len(lengths)
    assert fields_of_length(9) == [
        ("gripper_position", slice(0, 2)),
        ("ee_position", slice(2, 5)),
        ("ee_quaternion", slice(5, 9)),
    ]
    assert fields_of_length(5) == []
