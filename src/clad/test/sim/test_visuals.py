"""Fast visuals: what may change is the triangles, and nothing else."""

import numpy as np
import pytest

from clad.sim.libero_env import LiberoEnv
from clad.sim.visuals import Mesh, simplify


def bumpy_grid(n: int = 40, textured: bool = True) -> Mesh:
    """A height field of 2 (n-1)^2 triangles with smooth normals."""
    x, y = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n), indexing="ij")
    points = np.stack([x, y, 0.02 * np.sin(6 * x) * np.sin(6 * y)], -1).reshape(-1, 3)
    slopes = [-0.12 * np.cos(6 * x) * np.sin(6 * y), -0.12 * np.sin(6 * x) * np.cos(6 * y), np.ones_like(x)]
    normals = np.stack(slopes, -1).reshape(-1, 3)
    i = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate([np.stack([i, i + n, i + 1], 1), np.stack([i + 1, i + n, i + n + 1], 1)])
    texcoords = points[:, :2] if textured else points[:0, :2]
    return Mesh(
        points=points,
        normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        texcoords=texcoords,
        faces=faces,
        face_normals=faces,
        face_texcoords=faces,
    )


@pytest.mark.parametrize("textured", [True, False])
def test_simplified_mesh_is_smaller_and_covers_the_same_ground(textured):
    mesh = bumpy_grid(textured=textured)
    corners = simplify(mesh, 0.1)
    assert corners.shape[1] == 3 and len(corners) <= 0.25 * len(mesh.faces)
    a, b, c = (mesh.points[mesh.faces.ravel()[corners[:, k]], :2] for k in range(3))
    u, v = b - a, c - a
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    assert np.isclose(area.sum() / 2, 1.0, atol=0.02) and (area > -1e-9).all()  # no hole, no fold, same orientation


def test_small_meshes_are_left_alone():
    assert simplify(bumpy_grid(8), 0.1) is None


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("cache")
    patch.setenv("CLAD_CACHE_DIR", str(folder))
    yield folder
    patch.undo()


def test_same_physics_similar_pictures_fewer_triangles(cache):
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 7))
    states, pictures, triangles = {}, {}, {}
    for visuals in ("full", "fast"):
        with LiberoEnv("libero_10", 5, visuals=visuals) as env:
            env.reset_sampled(1)
            for action in actions:
                env.step(action)
            states[visuals], pictures[visuals] = env.state(), env.observe().images
            triangles[visuals] = int(env.model.mesh_facenum.sum())
            if visuals == "fast":  # a damaged cache is made again, and gives the same pictures
                (stored,) = cache.rglob("*.npz")
                stored.write_bytes(stored.read_bytes()[:100])
                env._fast._picks.clear()
                env.reset_sampled(1)
                for action in actions:
                    env.step(action)
                for camera, image in env.observe().images.items():
                    assert np.array_equal(image, pictures["fast"][camera])
    assert np.array_equal(states["full"], states["fast"])
    assert triangles["fast"] < 0.25 * triangles["full"]
    for camera in pictures["full"]:
        difference = np.abs(pictures["full"][camera].astype(int) - pictures["fast"][camera]).mean()
        assert 0 < difference < 10, camera
