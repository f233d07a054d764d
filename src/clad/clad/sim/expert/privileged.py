"""What the simulator knows and a robot does not: where objects are and how big. For scripted experts and tests only."""

from __future__ import annotations

import mujoco
import numpy as np

from clad.sim.libero_env import LiberoEnv

_COLLISION_GROUP = 0


class Privileged:
    """Poses and extents in the scene of one episode; valid until the environment's next reset. World frame, metres.

    A body's position is not its centre for every class (bowls, mugs, plates, caddy: the bottom; cans and boxes: the
    centre), so heights are taken from the collision geometry's bounds, never from a position.
    """

    def __init__(self, env: LiberoEnv) -> None:
        self._domain = env.upstream.env
        self.model, self.data = env.model, env.data
        self._site = self._id(mujoco.mjtObj.mjOBJ_SITE, self._domain.robots[0].controller.eef_name)
        named = {**self._domain.objects_dict, **self._domain.fixtures_dict}
        self._bodies = {name: self._subtree(obj.root_body) for name, obj in named.items()}

    # --- the hand: the grip site between the finger pads. Finger tips reach 1 cm below it, the palm is 9.7 cm above.

    @property
    def hand(self) -> np.ndarray:
        """(3,) position of the grip site."""
        return self.data.site_xpos[self._site].copy()

    @property
    def hand_rotation(self) -> np.ndarray:
        """(3, 3) orientation of the grip site, the controller's frame; the hand body's is turned by 90 degrees."""
        return self.data.site_xmat[self._site].reshape(3, 3).copy()

    @property
    def stretched(self) -> bool:
        """Whether the elbow is on its way to straight (-0.47 rad), from where the controller cannot bend it back."""
        return self.joint("robot0_joint4") > -1.25

    # --- the task

    @property
    def goals(self) -> tuple[tuple[str, ...], ...]:
        """The predicates that make the task a success, all of them: ('on', 'mug_1', 'plate_1'), ('close', 'microwave_1')."""
        return tuple(map(tuple, self._domain.parsed_problem["goal_state"]))

    # --- objects

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of all objects and fixtures."""
        return tuple(self._bodies)

    def position(self, name: str) -> np.ndarray:
        """(3,) origin of an object's root body."""
        return self.data.xpos[self._bodies[name][0]].copy()

    def yaw(self, name: str) -> float:
        """rad: an upright object's turn about the world's z."""
        x_axis = self.data.xmat[self._bodies[name][0]].reshape(3, 3)[:, 0]
        return float(np.arctan2(x_axis[1], x_axis[0]))

    def upright(self, name: str) -> bool:
        """Whether an object's own z axis still points up, within 25 degrees."""
        return bool(self.data.xmat[self._bodies[name][0]].reshape(3, 3)[2, 2] > 0.9)

    def site(self, name: str) -> np.ndarray:
        """(3,) a named site, such as a containing region's centre."""
        return self.data.site_xpos[self._id(mujoco.mjtObj.mjOBJ_SITE, name)].copy()

    def joint(self, name: str) -> float:
        """A hinge's or slide's position, rad or m."""
        return float(self.data.qpos[self.model.jnt_qposadr[self._joint(name)]])

    def joint_anchor(self, name: str) -> np.ndarray:
        """(3,) a point on a hinge's axis."""
        return self.data.xanchor[self._joint(name)].copy()

    def joint_bounds(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner (3,), (3,) of the collision geometry of the body that a joint moves: a drawer."""
        body = int(self.model.jnt_bodyid[self._joint(name)])
        return self._bounds([g for g in self._geoms_of(body) if self.model.geom_group[g] == _COLLISION_GROUP])

    def bounds(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner (3,), (3,) of an object's collision geometry, axis-aligned in the world."""
        return self._bounds(self._collision_geoms(name))

    def first_geom_pose(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Centre (3,) and rotation (3, 3) of an object's first collision geom: the pose of box-like objects."""
        geom = self._collision_geoms(name)[0]
        return self.data.geom_xpos[geom].copy(), self.data.geom_xmat[geom].reshape(3, 3).copy()

    def holds(self, *predicate: str) -> bool:
        """Whether one of LIBERO's predicates is true, such as ('in', 'book_1', 'caddy_1_back_contain_region')."""
        return bool(self._domain._eval_predicate(predicate))

    # --- internals

    def _bounds(self, geoms: list[int]) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        for geom in geoms:
            rotation = self.data.geom_xmat[geom].reshape(3, 3)
            centre = self.data.geom_xpos[geom] + rotation @ self.model.geom_aabb[geom][:3]
            half = np.abs(rotation) @ self.model.geom_aabb[geom][3:]
            low, high = np.minimum(low, centre - half), np.maximum(high, centre + half)
        return low, high

    def _joint(self, name: str) -> int:
        return self._id(mujoco.mjtObj.mjOBJ_JOINT, name)

    def _collision_geoms(self, name: str) -> list[int]:
        bodies, model = self._bodies[name], self.model
        return [g for b in bodies for g in self._geoms_of(b) if model.geom_group[g] == _COLLISION_GROUP]

    def _geoms_of(self, body: int) -> range:
        start = int(self.model.body_geomadr[body])
        return range(start, start + int(self.model.body_geomnum[body])) if start >= 0 else range(0)

    def _subtree(self, root: str) -> list[int]:
        found = [self._id(mujoco.mjtObj.mjOBJ_BODY, root)]
        for body in range(found[0] + 1, self.model.nbody):  # MuJoCo numbers children after their parents
            if self.model.body_parentid[body] in found:
                found.append(body)
        return found

    def _id(self, kind, name: str) -> int:
        index = mujoco.mj_name2id(self.model, kind, name)
        if index < 0:
            raise KeyError(f"the scene has no {kind.name[6:].lower()} '{name}'")
        return index
