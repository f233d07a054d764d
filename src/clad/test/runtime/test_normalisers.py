"""Standardising and scaling: the numbers themselves, and that they can be undone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clad.runtime.normalisers import ActionScaler, Standardiser

SCALER = ActionScaler(low=np.array([-0.5, 0.0, -1.0]), high=np.array([0.5, 0.1, 1.0]))
STANDARDISER = Standardiser(mean=np.array([1.0, -2.0], np.float32), std=np.array([0.5, 4.0], np.float32), clip=5.0)


def test_standardised_values_are_numbers_of_standard_deviations():
    found = STANDARDISER(np.array([[1.5, 2.0], [1.0, -2.0], [100.0, -100.0]]))
    assert found.dtype == np.float32
    assert found.tolist() == [[1.0, 1.0], [0.0, 0.0], [5.0, -5.0]]  # clipped at five


@given(arrays(np.float32, (4, 2), elements=st.floats(-1.375, 3.0, width=32)))
def test_standardising_is_undone_within_the_clip(x):
    np.testing.assert_allclose(STANDARDISER.inverse(STANDARDISER(x)), x, atol=1e-5)


def test_actions_map_their_range_to_minus_one_and_one():
    found = SCALER(np.array([[-0.5, 0.1, 0.0], [0.25, 0.2, -3.0]]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[-1, 1, 0], [0.5, 1, -1]], atol=1e-6)  # beyond the range is clipped


@given(arrays(np.float64, (5, 3), elements=st.floats(-1, 1)))
def test_scaling_is_undone(scaled):
    native = SCALER.inverse(scaled)
    assert (native >= SCALER.low - 1e-12).all() and (native <= SCALER.high + 1e-12).all()
    np.testing.assert_allclose(SCALER(native), scaled, atol=1e-6)
