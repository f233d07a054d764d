"""Where the fake robots' pictures come from: MuJoCo in a thread of its own, or a test card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from clad.contract import RobotContract


class Cameras(Protocol):
    """Used by one thread only: the one that makes it owns the GL context."""

    def pictures(self) -> dict[str, np.ndarray]:
        """Camera -> (size, size, 3) uint8 rgb, row 0 at the top."""

    def intrinsics(self, camera: str) -> np.ndarray:
        """K (3, 3), pixels."""

    def close(self) -> None: ...


class RenderedCameras:
    """MuJoCo's pictures of the scene in decimated visuals. snapshot: copies the present qpos."""

    def __init__(self, model, contract: RobotContract, snapshot: Callable[[], np.ndarray]) -> None:
        import mujoco

        from clad.sim.visuals import plain

        self._mujoco, self._plain = mujoco, plain
        self._model, self._data = model, mujoco.MjData(model)
        self._contract, self._snapshot = contract, snapshot
        self._renderer = mujoco.Renderer(model, contract.image_size, contract.image_size)
        self._option = mujoco.MjvOption()
        self._option.sitegroup[:] = 0

    def pictures(self) -> dict[str, np.ndarray]:
        self._data.qpos = self._snapshot()
        self._mujoco.mj_fwdPosition(self._model, self._data)
        pictures = {}
        for camera, spec in self._contract.cameras.items():
            self._renderer.update_scene(self._data, spec.sim_name, self._option)
            self._plain(self._renderer.scene)
            pictures[camera] = self._renderer.render()
        return pictures

    def intrinsics(self, camera: str) -> np.ndarray:
        size = self._contract.image_size
        fovy = self._model.camera(self._contract.cameras[camera].sim_name).fovy[0]
        focal = 0.5 * size / np.tan(np.radians(fovy) / 2)
        return np.array([[focal, 0.0, (size - 1) / 2], [0.0, focal, (size - 1) / 2], [0.0, 0.0, 1.0]])

    def close(self) -> None:
        self._renderer.close()


class TestCards:
    """Eight vertical bars in the colours of the television test card, moving one pixel a picture."""

    __test__ = False  # no pytest class

    def __init__(self, contract: RobotContract) -> None:
        self._contract, self._shown = contract, 0
        colours = np.array([[r, g, b] for g in (191, 0) for r in (191, 0) for b in (191, 0)], dtype=np.uint8)
        size = contract.image_size
        self._card = np.ascontiguousarray(np.broadcast_to(colours[np.arange(size) * 8 // size], (size, size, 3)))

    def pictures(self) -> dict[str, np.ndarray]:
        self._shown += 1
        return dict.fromkeys(self._contract.cameras, np.roll(self._card, self._shown, axis=1))

    def intrinsics(self, camera: str) -> np.ndarray:
        size = float(self._contract.image_size)
        return np.array([[size, 0.0, (size - 1) / 2], [0.0, size, (size - 1) / 2], [0.0, 0.0, 1.0]])

    def close(self) -> None:
        pass
