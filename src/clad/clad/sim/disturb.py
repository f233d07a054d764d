"""Acting perturbations out on a LIBERO scene: objects moved and added, cameras and lights changed.

Everything is done to the compiled model or its state after a reset, which builds both anew, so nothing has to be undone.
"""

from __future__ import annotations

from xml.etree import ElementTree

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from clad.contract import RobotContract
from clad.sim.perturbations import Perturbations, generator

# objects that stand on a table by themselves, with the degrees about x that set them upright; a task's own kinds are left out
_KINDS = {
    **dict.fromkeys(("milk", "ketchup", "orange_juice", "macaroni_and_cheese", "salad_dressing", "cookies"), 90),
    **dict.fromkeys(
        ("bbq_sauce", "popcorn", "chocolate_pudding", "butter", "cream_cheese", "tomato_sauce", "alphabet_soup"), 0
    ),
}
_NAME = "distractor"
_GAP = 0.01  # m that moved and added objects keep from all others
_AROUND = 0.15  # m beyond the task's objects within which others are added
_DRAWS = 200


class Disturber:
    """One environment's perturbations. Call `begin` before a reset, `objects` after it, `looks` once things have settled."""

    def __init__(self, perturbations: Perturbations, contract: RobotContract) -> None:
        self._levels, self._contract = perturbations, contract
        self._seed = 0
        self._added: list = []  # (robosuite object, tilt) of the present episode

    def begin(self, env, seed: int) -> None:
        """env: LIBERO's ControlEnv, about to be reset into the episode's scene."""
        from libero.libero.envs.objects import get_object_fn

        self._seed, domain = seed, env.env
        there = {name.rsplit("_", 1)[0] for name in domain.objects_dict}
        rng = generator(seed, "distractors")
        kinds = rng.permutation([kind for kind in _KINDS if kind not in there])[: int(self._levels.distractors)]
        self._added = [
            (get_object_fn(kind)(name=f"{_NAME}_{i}"), _KINDS[kind]) for i, kind in enumerate(kinds.tolist())
        ]
        domain.set_xml_processor(self._with_added if self._added else None)

    def objects(self, env) -> None:
        """Place the added objects and move the task's own, before anything settles."""
        scene = _Footprints(env)
        rng = generator(self._seed, "distractors' places")
        for obj, tilt in self._added:
            scene.put_down(obj, tilt, rng)
        if self._levels.offset:
            rng = generator(self._seed, "offset")
            for _, obj in sorted(env.env.objects_dict.items()):
                scene.shift(obj.root_body, self._levels.offset, rng)

    def looks(self, env) -> None:
        """Change the model's fixed cameras and lights; what follows from them is MuJoCo's next forward kinematics."""
        model = env.sim.model._model
        if self._levels.camera:
            rng = generator(self._seed, "camera")
            for spec in self._contract.cameras.values():
                camera = model.camera(spec.sim_name).id
                if model.cam_bodyid[camera] == 0:  # fixed to the world; one on the wrist stays as it is calibrated
                    model.cam_pos[camera] += rng.uniform(-1, 1, 3) * self._levels.camera
                    turn = Rotation.from_rotvec(rng.uniform(-1, 1, 3) * self._levels.camera)
                    pose = Rotation.from_quat(model.cam_quat[camera], scalar_first=True)
                    model.cam_quat[camera] = (turn * pose).as_quat(scalar_first=True)
        if self._levels.light:
            rng, level = generator(self._seed, "light"), self._levels.light
            for light in range(model.nlight):
                brightness, colour = rng.uniform(-1, 1), rng.uniform(-1, 1, 3)
                model.light_diffuse[light] *= (1 + level * brightness) * (1 + level / 3 * colour)
                model.light_ambient[light] *= 1 + level * brightness
                model.light_pos[light] += rng.uniform(-1, 1, 3) * level
            head, brightness = model.vis.headlight, rng.uniform(-1, 1)
            head.diffuse[:] *= 1 + level * brightness
            head.ambient[:] *= 1 + level * brightness

    def _with_added(self, xml: str) -> str:
        """The scene's XML with the added objects as its last bodies, so that all that was there keeps its place."""
        root = ElementTree.fromstring(xml)
        assets, world = root.find("asset"), root.find("worldbody")
        for obj, _ in self._added:
            known = {(asset.tag, asset.get("name")) for asset in assets}
            assets.extend(asset for asset in obj.asset if (asset.tag, asset.get("name")) not in known)
            world.append(obj.get_obj())
        return ElementTree.tostring(root, encoding="unicode")


class _Footprints:
    """The ground that objects and fixtures take up: their colliding geoms' rectangles, axis-aligned, seen from above."""

    def __init__(self, env) -> None:
        self._model, self._data, domain = env.sim.model._model, env.sim.data._data, env.env
        self._table = float(domain.workspace_offset[2])
        self._bodies = [self._model.body(obj.root_body).id for obj in domain.objects_dict.values()]
        self._fixtures = {self._model.body(obj.root_body).id for obj in domain.fixtures_dict.values()}
        self._others = {*self._bodies, *self._fixtures}
        mujoco.mj_kinematics(self._model, self._data)

    def shift(self, root: str, distance: float, rng: np.random.Generator) -> None:
        """Move the object with body `root` by `distance`, m, in a random direction in which nothing is in its way; else leave it."""
        body = self._model.body(root).id
        joint = self._model.body_jntadr[body]
        if joint < 0 or self._model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_FREE:
            return
        address = self._model.jnt_qposadr[joint]
        start = self._data.qpos[address : address + 2].copy()
        stands_on = self._overlaps(body) & self._fixtures
        for _ in range(_DRAWS):
            angle = rng.uniform(0, 2 * np.pi)
            self._move(address, start + distance * np.array([np.cos(angle), np.sin(angle)]))
            if self._overlaps(body) <= stands_on and (stands_on or self._on_table(body)):
                return
        self._move(address, start)

    def put_down(self, obj, tilt: float, rng: np.random.Generator) -> None:
        """Stand an added object, turned by `tilt` degrees about x, on a free place near the task's objects; far below the floor if there is none."""
        body = self._model.body(obj.root_body).id
        address = self._model.jnt_qposadr[self._model.body_jntadr[body]]
        low = np.min([self._boxes(other)[0].min(axis=0) for other in self._bodies], axis=0)[:2] - _AROUND
        high = np.max([self._boxes(other)[1].max(axis=0) for other in self._bodies], axis=0)[:2] + _AROUND
        self._others.add(body)
        for _ in range(_DRAWS):
            turn = Rotation.from_euler("xz", [tilt, rng.uniform(0, 360)], degrees=True)
            self._data.qpos[address + 2] = self._table
            self._data.qpos[address + 3 : address + 7] = turn.as_quat(scalar_first=True)
            self._move(address, rng.uniform(low, high))
            if not self._overlaps(body) and self._on_table(body):
                self._data.qpos[address + 2] += self._table + _GAP - self._boxes(body)[0][:, 2].min()
                mujoco.mj_kinematics(self._model, self._data)
                return
        self._data.qpos[address + 2] = -10.0
        mujoco.mj_kinematics(self._model, self._data)

    def _move(self, address: int, where: np.ndarray) -> None:
        self._data.qpos[address : address + 2] = where
        mujoco.mj_kinematics(self._model, self._data)

    def _overlaps(self, body: int) -> set[int]:
        low, high = self._boxes(body)
        found = set()
        for other in self._others - {body}:
            their_low, their_high = self._boxes(other)
            below = (low[:, None, :2] - _GAP < their_high[None, :, :2]).all(axis=2)
            above = (their_low[None, :, :2] < high[:, None, :2] + _GAP).all(axis=2)
            if (below & above).any():
                found.add(other)
        return found

    def _boxes(self, root: int) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corners (G, 3), (G, 3) of the colliding geoms in a body's tree."""
        model = self._model
        collides = (model.geom_contype | model.geom_conaffinity) != 0
        geoms = np.flatnonzero(collides & (model.body_rootid[model.geom_bodyid] == model.body_rootid[root]))
        rotation = self._data.geom_xmat[geoms].reshape(-1, 3, 3)
        centre = self._data.geom_xpos[geoms] + np.einsum("gij,gj->gi", rotation, model.geom_aabb[geoms, :3])
        half = np.einsum("gij,gj->gi", np.abs(rotation), model.geom_aabb[geoms, 3:])
        return centre - half, centre + half

    def _on_table(self, body: int) -> bool:
        """Whether the first thing below every corner of its rectangle, seen from above without it, is the table."""
        lows, highs = self._boxes(body)
        low, high = lows.min(axis=0), highs.max(axis=0)
        hit = np.zeros(1, dtype=np.int32)
        for x in (low[0], high[0]):
            for y in (low[1], high[1]):
                start = np.array([x, y, self._table + 1.0])
                down = mujoco.mj_ray(self._model, self._data, start, np.array([0, 0, -1.0]), None, 1, body, hit)
                if abs(down - 1.0) > 0.02:
                    return False
        return True
