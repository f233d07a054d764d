"""Golden tests: image orientation, quaternion order, action scaling, each against an independent statement of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clad.contract import (
    canonical_quaternion,
    hold_action,
    image_from_opengl,
    image_to_opengl,
    load_contract,
    native_to_wire,
    quaternion_wxyz_to_xyzw,
    quaternion_xyzw_to_wxyz,
    wire_to_native,
)

SPEC = load_contract("libero").action


def test_quaternion_order_against_scipy():
    """A quarter turn about z is (w, x, y, z) = (r, 0, 0, r) for MuJoCo and (0, 0, r, r) in xyzw, as scipy has it."""
    rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    r = np.sqrt(0.5)
    np.testing.assert_allclose(quaternion_wxyz_to_xyzw([r, 0, 0, r]), [0, 0, r, r])
    turned = rotation.from_quat(quaternion_wxyz_to_xyzw([r, 0, 0, r])).apply([1, 0, 0])
    np.testing.assert_allclose(turned, [0, 1, 0], atol=1e-12)
    some = rotation.random(20, random_state=0)
    np.testing.assert_allclose(quaternion_xyzw_to_wxyz(some.as_quat()), some.as_quat(scalar_first=True))
    assert np.array_equal(quaternion_wxyz_to_xyzw(quaternion_xyzw_to_wxyz(some.as_quat())), some.as_quat())


def test_canonical_quaternion_does_not_jump_where_the_hand_points_down():
    """Sweep yaw of a downward hand through w = 0: neighbours stay neighbours, and both signs give one vector."""
    yaw = np.linspace(-1.5, 1.5, 201)
    q = np.stack([np.cos(yaw / 2), np.sin(yaw / 2), 0.01 * yaw, 0.01 * np.sin(3 * yaw)], axis=-1)
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (201, 1))
    found = canonical_quaternion(q * signs)
    assert np.abs(np.diff(found, axis=0)).max() < 0.02
    assert np.array_equal(found, canonical_quaternion(-found))


def test_image_flip_reverses_rows_only():
    """OpenGL's last row is our first; left stays left (the 180 degree turn would mirror the picture)."""
    opengl = np.zeros((4, 6, 3), dtype=np.uint8)
    opengl[-1, 0] = [255, 0, 0]  # red in the true top left corner
    image = image_from_opengl(opengl)
    assert image[0, 0].tolist() == [255, 0, 0] and image.sum() == 255
    assert image.flags.c_contiguous
    assert np.array_equal(image_to_opengl(image), opengl)
    stack = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
    assert np.array_equal(image_from_opengl(stack)[1], image_from_opengl(stack[1]))


def test_action_units_are_liberos():
    """OSC_POSE in robosuite: one unit is 5 cm or half a radian; the gripper closes at +1."""
    np.testing.assert_allclose(native_to_wire(np.ones(7), SPEC), [0.05, 0.05, 0.05, 0.5, 0.5, 0.5, 1.0])
    np.testing.assert_allclose(wire_to_native([0.025, 0, -0.05, 0.25, 0, 0, 0.3], SPEC), [0.5, 0, -1, 0.5, 0, 0, 1])


@given(arrays(np.float64, (3, 7), elements=st.floats(-1, 1)))
def test_native_to_wire_and_back(native):
    back = wire_to_native(native_to_wire(native, SPEC), SPEC)
    np.testing.assert_allclose(back[:, :6], native[:, :6], atol=1e-15)
    assert np.array_equal(back[:, 6], np.where(native[:, 6] > 0, 1.0, -1.0))


@given(arrays(np.float64, 7, elements=st.floats(-100, 100)))
def test_the_driver_never_gets_more_than_full_scale(wire):
    native = wire_to_native(wire, SPEC)
    assert (np.abs(native) <= 1).all() and abs(native[6]) == 1
    assert native.dtype == np.float64


def test_conversion_leaves_its_input_alone():
    wire = np.full(7, 0.5)
    wire_to_native(wire, SPEC)
    native_to_wire(wire, SPEC)
    assert np.array_equal(wire, np.full(7, 0.5))


def test_hold_moves_nothing():
    assert hold_action(SPEC).tolist() == [0, 0, 0, 0, 0, 0, -1]
    assert hold_action(SPEC, gripper=1.0)[6] == 1
