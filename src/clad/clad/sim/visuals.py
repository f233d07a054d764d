"""Fast visuals: LIBERO with decimated visual meshes, in place in the compiled mjModel. Physics is untouched.

Software rendering of LIBERO is bound by vertices: its scenes draw 300 000 to 400 000 triangles for a 128 x 128 picture.
Simplifying the meshes that only serve the eye (index-only, so that vertices, normals and texture coordinates keep their
values) makes a rendered step several times quicker at a small difference in the pictures.
What that is on your machine: `clad info --visuals`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATIO = 0.1  # of a mesh's triangles that are kept
_LEAST_FACES = 120  # no mesh is cut below this
_ERROR = 0.05  # of a mesh's extent that a surface may move
_NORMAL_WEIGHT = 0.3  # of a normal's error, likewise
_NEAR_ENOUGH = 2.0  # times the wanted number of triangles: a result that good is taken
_TEXTURE_WEIGHT = 1.0  # of a texture coordinate's error against a position's
_GEOM_MESH = 7  # mujoco.mjtGeom.mjGEOM_MESH, so that this module loads without mujoco
_ALGORITHM = 4  # part of the cache's key: raise it when `simplify` changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """One visual mesh of a model. points, normals, texcoords: (N, 3), (M, 3), (K, 2); K is 0 if it shows no texture.

    faces, face_normals, face_texcoords: (F, 3) indices of a triangle's corners into those.
    """

    points: np.ndarray
    normals: np.ndarray
    texcoords: np.ndarray
    faces: np.ndarray
    face_normals: np.ndarray
    face_texcoords: np.ndarray


def cache_folder() -> Path:
    """$CLAD_CACHE_DIR, else ~/.cache/clad."""
    return Path(os.environ.get("CLAD_CACHE_DIR") or Path.home() / ".cache" / "clad")


class FastVisuals:
    """Simplifies a model's visual meshes and hands them to the renderer. Results are cached in memory and on disk."""

    def __init__(self, ratio: float = RATIO) -> None:
        self.ratio = ratio
        self._picks: dict[str, dict[int, np.ndarray]] = {}

    def apply(self, sim) -> None:
        """Decimate the meshes of robosuite's `sim` and upload them to its off-screen context; once a compiled model."""
        import mujoco

        model, context = sim.model._model, sim._render_context_offscreen
        changed = self.decimate(model)
        context.gl_ctx.make_current()
        for mesh in changed:
            mujoco.mjr_uploadMesh(model, context.con, mesh)
        plain(context.scn)

    def decimate(self, model) -> list[int]:
        """Decimate the meshes in a compiled model, before a renderer has seen it; returns which ones."""
        meshes = visual_meshes(model)
        key = self._key(model, meshes)
        if key not in self._picks:
            self._picks[key] = self._cached(key, model, meshes)
        for mesh, corners in self._picks[key].items():
            _replace_faces(model, mesh, corners)
        return list(self._picks[key])

    def _key(self, model, meshes: list[int]) -> str:
        digest = hashlib.sha256(f"{_ALGORITHM} {self.ratio} {meshes}".encode())
        for name in ("vert", "face", "normal", "facenormal", "texcoord", "facetexcoord"):
            digest.update(np.ascontiguousarray(getattr(model, f"mesh_{name}")))
        return digest.hexdigest()

    def _cached(self, key: str, model, meshes: list[int]) -> dict[int, np.ndarray]:
        path = cache_folder() / "meshes" / f"{key}.npz"
        if path.is_file():
            try:
                with np.load(path, allow_pickle=False) as stored:
                    return {int(name): stored[name] for name in stored.files}
            except (OSError, ValueError, zipfile.BadZipFile):  # truncated by a full disk or a copy: make it again
                path.unlink(missing_ok=True)
        picks = {}
        for mesh in meshes:
            corners = simplify(mesh_of(model, mesh), self.ratio)
            if corners is not None:
                picks[mesh] = corners
        _write_atomically(path, {str(mesh): corners for mesh, corners in picks.items()})
        return picks


def plain(scene) -> None:
    """No shadows and no reflections: each costs another pass over all triangles, and LIBERO has next to none of them."""
    import mujoco

    scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
    scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0


def visual_meshes(model) -> list[int]:
    """The meshes that no colliding geom uses."""
    import mujoco

    is_mesh = model.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    collides = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    return sorted(set(model.geom_dataid[is_mesh]) - set(model.geom_dataid[is_mesh & collides]) - {-1})


def mesh_of(model, index: int) -> Mesh:
    """Copies of one mesh's arrays."""

    def part(values, start, count):
        return values[start[index] : start[index] + count[index]].copy() if start[index] >= 0 else values[:0].copy()

    materials = model.geom_matid[(model.geom_type == _GEOM_MESH) & (model.geom_dataid == index)]
    textured = (model.mat_texid[materials[materials >= 0]] >= 0).any()
    texcoords = part(model.mesh_texcoord, model.mesh_texcoordadr, model.mesh_texcoordnum)
    return Mesh(
        points=part(model.mesh_vert, model.mesh_vertadr, model.mesh_vertnum),
        normals=part(model.mesh_normal, model.mesh_normaladr, model.mesh_normalnum),
        texcoords=texcoords if textured else texcoords[:0],
        faces=part(model.mesh_face, model.mesh_faceadr, model.mesh_facenum),
        face_normals=part(model.mesh_facenormal, model.mesh_faceadr, model.mesh_facenum),
        face_texcoords=part(model.mesh_facetexcoord, model.mesh_faceadr, model.mesh_facenum),
    )


def simplify(mesh: Mesh, ratio: float) -> np.ndarray | None:
    """Which corners of the mesh form the simplified one: (F', 3) indices into the flat corners; None if not worth it.

    First with corners that agree in position, normal and texture coordinate as the simplifier's vertices, which keeps
    the shading. Meshes shaded triangle by triangle (the robot's) fall to pieces then and cannot be reduced: for those,
    corners that agree in position and texture coordinate only. Never across the texture's seams, which would smear it.
    """
    target = max(_LEAST_FACES, int(len(mesh.faces) * ratio))
    if len(mesh.faces) <= target:
        return None
    points = mesh.points[mesh.faces].reshape(-1, 3)
    normals = mesh.normals[mesh.face_normals].reshape(-1, 3)
    texture = mesh.texcoords[mesh.face_texcoords].reshape(-1, 2) if len(mesh.texcoords) else np.zeros((len(points), 2))
    corner_of, _, faces = _reduce(np.hstack([points, texture, normals]), target)
    if len(faces) <= _NEAR_ENOUGH * target:
        return corner_of[faces].astype(np.int32)
    corner_of, vertex_of, faces = _reduce(np.hstack([points, texture]), target)
    if not 0 < len(faces) < len(mesh.faces):
        return None
    return _nearest_normals(faces, vertex_of, points[corner_of], normals)


def _reduce(corners: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simplify triangles given as corner values (3 F, 3 + attributes), equal corners being one vertex.

    Returns a corner of each vertex (V,), the vertex of each corner (3 F,), and the new faces (F', 3) in vertices.
    """
    vertices, corner_of, vertex_of = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    indices = np.ascontiguousarray(vertex_of.ravel(), dtype=np.uint32)
    weights = [_TEXTURE_WEIGHT] * 2 + [_NORMAL_WEIGHT] * (corners.shape[1] - 5)
    simplified = np.zeros_like(indices)
    meshoptimizer = _typed_meshoptimizer()
    kept = meshoptimizer.simplify_with_attributes(
        simplified,
        indices,
        np.ascontiguousarray(vertices[:, :3], dtype=np.float32),
        np.ascontiguousarray(vertices[:, 3:], dtype=np.float32),
        np.array(weights, dtype=np.float32),
        target_index_count=3 * target,
        target_error=_ERROR,
        options=meshoptimizer.SIMPLIFY_PRUNE,
    )
    return corner_of, vertex_of.ravel(), simplified[:kept].reshape(-1, 3)


def _nearest_normals(faces: np.ndarray, vertex_of: np.ndarray, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """For each corner of the new faces, the old corner of the same vertex whose normal is nearest to the new face's."""
    a, b, c = (points[faces[:, i]] for i in range(3))
    directions = np.cross(b - a, c - a)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True) + 1e-12
    by_vertex = np.argsort(vertex_of, kind="stable")
    first = np.searchsorted(vertex_of[by_vertex], np.arange(len(points) + 1))
    wanted = faces.ravel()
    counts = first[wanted + 1] - first[wanted]
    ends = np.cumsum(counts)
    owner = np.repeat(np.arange(len(wanted)), counts)  # every (new corner, old corner of its vertex) pair
    candidates = by_vertex[np.repeat(first[wanted], counts) + np.arange(ends[-1]) - np.repeat(ends - counts, counts)]
    likeness = np.einsum("ij,ij->i", normals[candidates], directions[owner // 3])
    best = np.lexsort((likeness, owner))[ends - 1]  # the last of each owner's run is its most alike
    return candidates[best].reshape(-1, 3).astype(np.int32)


def _typed_meshoptimizer():
    """meshoptimizer, with the C types declared that its Python binding forgets for this one function."""
    import ctypes as c

    import meshoptimizer
    from meshoptimizer._loader import lib

    floats, uints = c.POINTER(c.c_float), c.POINTER(c.c_uint)
    mesh = [uints, uints, c.c_size_t, floats, c.c_size_t, c.c_size_t]
    attributes = [floats, c.c_size_t, floats, c.c_size_t, c.POINTER(c.c_ubyte)]
    lib.meshopt_simplifyWithAttributes.argtypes = [*mesh, *attributes, c.c_size_t, c.c_float, c.c_uint, floats]
    lib.meshopt_simplifyWithAttributes.restype = c.c_size_t
    return meshoptimizer


def _replace_faces(model, index: int, corners: np.ndarray) -> None:
    mesh, start = mesh_of(model, index), int(model.mesh_faceadr[index])
    chosen = slice(start, start + len(corners))
    model.mesh_face[chosen] = mesh.faces.ravel()[corners]
    model.mesh_facenormal[chosen] = mesh.face_normals.ravel()[corners]
    model.mesh_facetexcoord[chosen] = mesh.face_texcoords.ravel()[corners]
    model.mesh_facenum[index] = len(corners)


def _write_atomically(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        np.savez_compressed(file, **arrays)
    os.replace(file.name, path)
