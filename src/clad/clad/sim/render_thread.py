"""Drawing beside stepping: a thread with data and a GL context of its own draws the newest state that it was shown.

MuJoCo gives the GIL back while it draws, so the thread that steps the simulator keeps its time, whatever a picture costs.
The compiled model is shared: drawing only reads it, and what a task changes in it (a stove's glow) is seen. Pictures
equal those that `LiberoEnv.observe` draws of the same state, bit for bit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from clad.contract import image_from_opengl
from clad.errors import CladError

if TYPE_CHECKING:
    from clad.sim.libero_env import LiberoEnv

Label = TypeVar("Label")
MOST_GEOMS = 1000  # in a scene, as robosuite has it


class RenderThread(Generic[Label]):
    """Draws one state at a time; a state that waits is replaced by a newer one. All methods from the stepping thread.

    seconds: spent drawing. superseded: states that were never drawn, because a newer one came.
    """

    def __init__(self, drawn: Callable[[], None]) -> None:
        """drawn: called in the thread of this object when `take` has something."""
        self._tell = drawn
        self._wake = threading.Condition()
        self._env: LiberoEnv | None = None  # to be drawn from now on
        self._waiting: tuple[Label, np.ndarray] | None = None
        self._done: tuple[Label, dict[str, np.ndarray]] | None = None
        self._failure: BaseException | None = None
        self._closed = False
        self.seconds, self.superseded = 0.0, 0
        self._thread = threading.Thread(target=self._loop, name="render", daemon=True)
        self._thread.start()

    def begin(self, env: LiberoEnv) -> None:
        """Draw this environment's present model from now on; forgets earlier states. Waits until the cameras are ready.

        To be called after each reset, which compiles a new model. Raises CladError where GL does not work.
        """
        with self._wake:
            self._env, self._waiting = env, None
            self._wake.notify_all()
            self._wake.wait_for(lambda: self._env is None or self._failure is not None)
            self._done = None
            self._check()

    def show(self, label: Label, env: LiberoEnv) -> None:
        """The state to draw next. label: given back with its pictures. Raises CladError when drawing has failed."""
        with self._wake:
            self._check()
            self.superseded += self._waiting is not None
            self._waiting = label, env.data.qpos.copy()
            self._wake.notify_all()

    def take(self) -> tuple[Label, dict[str, np.ndarray]] | None:
        """The newest pictures, (S, S, 3) uint8 by camera, and their label; once, then None."""
        with self._wake:
            done, self._done = self._done, None
        return done

    def close(self) -> None:
        """Free the GL context and end the thread, after the picture in progress."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._thread.join()

    def _check(self) -> None:
        if self._failure is not None:
            raise CladError(f"drawing failed: {self._failure!r}", "Set render to tick") from self._failure

    def _loop(self) -> None:
        cameras = None
        try:
            while True:
                with self._wake:
                    self._wake.wait_for(lambda: self._closed or self._env or self._waiting)
                    if self._closed:
                        return
                    env, state, self._waiting = self._env, self._waiting, None
                if env is not None:
                    if cameras is not None:
                        cameras.free()
                    cameras = _Cameras(env)
                    with self._wake:
                        self._env = None
                        self._wake.notify_all()
                else:
                    label, qpos = state
                    started = time.perf_counter()
                    images = cameras.draw(qpos)
                    self.seconds += time.perf_counter() - started
                    with self._wake:
                        self._done = label, images
                    self._tell()
        except Exception as error:
            with self._wake:
                self._failure = error
                self._wake.notify_all()
        finally:
            if cameras is not None:
                cameras.free()


class _Cameras:
    """The contract's cameras on an environment's present model. Made, used and freed by one thread: GL wants it so."""

    def __init__(self, env: LiberoEnv) -> None:
        import mujoco
        from robosuite.utils.binding_utils import GLContext

        self._model, self._size = env.model, env.image_size
        self._ids = {name: self._model.camera(spec.sim_name).id for name, spec in env.contract.cameras.items()}
        self._data = mujoco.MjData(self._model)
        self._gl = GLContext(max_width=self._size, max_height=self._size)
        self._gl.make_current()
        drawn_with = env.upstream.sim._render_context_offscreen
        self._options, self._perturbation = drawn_with.vopt, mujoco.MjvPerturb()
        self._scene = mujoco.MjvScene(self._model, maxgeom=MOST_GEOMS)
        self._scene.flags[:] = drawn_with.scn.flags
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_150)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED

    def draw(self, qpos: np.ndarray) -> dict[str, np.ndarray]:
        """Every camera's picture of the positions (nq,)."""
        import mujoco

        model, data = self._model, self._data
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_camlight(model, data)
        area = mujoco.MjrRect(0, 0, self._size, self._size)
        images = {}
        for name, self._camera.fixedcamid in self._ids.items():
            mujoco.mjv_updateScene(
                *(model, data, self._options, self._perturbation, self._camera, mujoco.mjtCatBit.mjCAT_ALL),
                self._scene,
            )
            mujoco.mjr_render(area, self._scene, self._context)
            pixels = np.empty((self._size, self._size, 3), dtype=np.uint8)
            mujoco.mjr_readPixels(pixels, None, area, self._context)
            images[name] = image_from_opengl(pixels)
        return images

    def free(self) -> None:
        self._context.free()
        self._gl.free()
