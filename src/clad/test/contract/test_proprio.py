"""Proprio vectors: one code path for a single observation and a whole episode."""

from types import SimpleNamespace

import numpy as np
import pytest

from clad.contract import PROPRIO_VARIANTS, proprio_dim, proprio_vector
from clad.errors import UsageError

LENGTHS = {"joint14": 14, "joint16": 16, "ee9": 9, "joint16_ee7": 23, "arm6_ee7": 21}


def episode(steps=5, joints=7):
    rng = np.random.default_rng(0)
    return SimpleNamespace(
        joint_position=rng.standard_normal((steps, joints)),
        joint_velocity=rng.standard_normal((steps, joints)),
        gripper_position=rng.standard_normal((steps, 2)),
        ee_position=rng.standard_normal((steps, 3)),
        ee_quaternion=rng.standard_normal((steps, 4)),
    )


@pytest.mark.parametrize("variant", PROPRIO_VARIANTS)
def test_rows_of_an_episode_are_the_vectors_of_its_observations(variant):
    whole = episode(joints=6 if variant == "arm6_ee7" else 7)
    rows = proprio_vector(whole, variant)
    assert rows.shape == (5, LENGTHS[variant]) and rows.dtype == np.float32 and proprio_dim(variant) == LENGTHS[variant]
    for t in range(5):
        one = SimpleNamespace(**{k: v[t] for k, v in vars(whole).items()})
        assert np.array_equal(proprio_vector(one, variant), rows[t])


def test_order_and_sign():
    state = SimpleNamespace(
        joint_position=np.arange(7),
        joint_velocity=np.arange(7) + 10,
        gripper_position=np.array([20, 21]),
        ee_position=np.array([30, 31, 32]),
        ee_quaternion=np.array([-1.0, 0.1, 0.2, 0.3]),
    )
    assert proprio_vector(state, "joint16_ee7").tolist() == pytest.approx(
        [*range(7), *range(10, 17), 20, 21, 30, 31, 32, 1, -0.1, -0.2, -0.3]
    )
    assert proprio_vector(state, "ee9").tolist() == pytest.approx([20, 21, 30, 31, 32, 1, -0.1, -0.2, -0.3])


def test_wrong_lengths_and_names_are_refused():
    state = episode()
    state.joint_position = state.joint_position[:, :6]
    with pytest.raises(ValueError, match="joint_position has 6 entries, variant joint14 needs 7"):
        proprio_vector(state, "joint14")
    with pytest.raises(UsageError, match="Did you mean joint1"):
        proprio_dim("joint15")
