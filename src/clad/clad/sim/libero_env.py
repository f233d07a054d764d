"""LIBERO behind the interface that the rest of the library uses: our observations, our conventions, two protocols."""

from __future__ import annotations

import atexit
import time
import weakref
from dataclasses import dataclass

import numpy as np

from clad.contract import (
    Observation,
    RobotContract,
    hold_action,
    image_from_opengl,
    load_contract,
    quaternion_wxyz_to_xyzw,
)
from clad.errors import CladError, UsageError, unknown_name
from clad.sim import gl, scene, suites, upstream
from clad.sim.perturbations import Perturbations

VISUALS = ("full", "fast")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """reward: 1.0 on success, else 0.0. done: the task's predicates hold (LIBERO's meaning of done)."""

    reward: float
    done: bool


class LiberoEnv:
    """One LIBERO task. All calls must come from the thread that built it: the GL context is bound to it.

    An observation's fields are all of the instant of `observe`, to the last physics substep; upstream's own are too, but
    for poses and pictures, which lag a substep (2 ms) behind the joints.
    """

    def __init__(
        self,
        suite: str,
        task: int,
        *,
        contract: RobotContract | None = None,
        visuals: str = "full",
        image_size: int | None = None,
        backend: str = "auto",
        perturbations: Perturbations | None = None,
    ) -> None:
        """visuals: 'full' (LIBERO's meshes) or 'fast' (decimated; same physics). image_size: pixels.

        perturbations: of every episode, drawn anew by its seed; the rollout acts out those of frames and of time.

        Raises UsageError naming the valid suites, tasks, visuals or backends; CladError for missing assets or GL.
        """
        if visuals not in VISUALS:
            raise UsageError(f"unknown visuals '{visuals}'", f"Valid: {', '.join(VISUALS)}")
        if image_size is not None and not 8 <= image_size <= 2048:
            raise UsageError(f"image size {image_size} is outside 8..2048", "LIBERO's own is 128")
        self.info = suites.task_info(suite, task)
        self.contract = contract or load_contract("libero")
        self.visuals = visuals
        self.image_size = image_size or self.contract.image_size
        self.render_seconds = 0.0
        self.physics_seconds = 0.0
        self._backend = gl.choose_backend(backend)
        self._step = 0
        self._classic_seeded = False
        self._first_images: dict[str, np.ndarray] = {}
        self._scene_hash = ""
        self._hold = hold_action(self.contract.action)
        try:
            with upstream.quiet():
                self._env = upstream.control_env()(
                    bddl_file_name=str(self.info.bddl),
                    has_offscreen_renderer=True,
                    use_camera_obs=False,
                    control_freq=round(self.contract.control_rate),
                    ignore_done=True,  # limits are the caller's; upstream's horizon would raise in mid-episode
                )
        except OSError as error:  # a mesh, a texture, a scene
            raise CladError(f"LIBERO lacks assets ({error})", upstream.INSTALL) from error
        self._fast = None
        if visuals == "fast":
            from clad.sim.visuals import FastVisuals

            self._fast = FastVisuals()
        self.perturbations = perturbations or Perturbations()
        self._disturber = None
        if self.perturbations:
            from clad.sim.disturb import Disturber

            self._disturber = Disturber(self.perturbations, self.contract)
        self._bind()
        # robosuite ends EGL at exit; contexts that are still there then complain on stderr
        atexit.register(_close_if_alive, weakref.ref(self))

    # --- facts

    @property
    def instruction(self) -> str:
        """The task in words."""
        return self.info.instruction

    @property
    def max_steps(self) -> int:
        """The published limit on control steps."""
        return self.info.max_steps

    @property
    def n_init_states(self) -> int:
        """How many evaluation states the task has."""
        return self.info.n_init_states

    @property
    def backend(self) -> str:
        """The GL backend in use: 'egl' or 'osmesa'."""
        return self._backend

    @property
    def step_count(self) -> int:
        """Control steps since the reset, settle steps not counted."""
        return self._step

    @property
    def upstream(self):
        """LIBERO's ControlEnv, for privileged access (scripted experts, tests)."""
        return self._env

    @property
    def model(self):
        """The compiled mujoco.MjModel; a new one after each reset."""
        return self._env.sim.model._model

    @property
    def data(self):
        """The mujoco.MjData; a new one after each reset."""
        return self._env.sim.data._data

    # --- episodes

    def reset(self, init_index: int, seed: int, protocol: str) -> None:
        """Start an episode at evaluation state `init_index`, settled: step 0 is the next observation.

        'exact': the scene depends on (init_index, seed) alone. 'classic': upstream's loop; `seed` counts at this
        environment's first classic reset only, later scenes depend on how many resets came before.
        Raises UsageError for an index outside the task's states or an unknown protocol.
        """
        scene.check_protocol(protocol)
        if not 0 <= init_index < self.n_init_states:
            raise UsageError(
                f"{self.info.suite} task {self.info.task} has no initial state {init_index}",
                f"Valid: 0..{self.n_init_states - 1}",
            )
        state = suites.init_states(self.info.suite, self.info.task)[init_index]
        with upstream.quiet():
            if self._disturber is not None:
                self._disturber.begin(self._env, seed)
            if protocol == "exact":
                scene.load_exact(self._env, seed, state)
            else:
                if not self._classic_seeded:
                    self._env.seed(seed)
                    self._classic_seeded = True
                scene.load_classic(self._env, state)
        self._start()

    def reset_sampled(self, seed: int) -> None:
        """Start an episode in a scene of its own, sampled from the task's regions; never an evaluation state."""
        with upstream.quiet():
            if self._disturber is not None:
                self._disturber.begin(self._env, seed)
            scene.load_exact(self._env, seed, None)
        self._start()

    def _start(self) -> None:
        if self._disturber is not None:
            self._disturber.objects(self._env)
        scene.settle(self._env, self._hold)
        self._step = 0
        if self._disturber is not None:
            self._disturber.looks(self._env)
        self._bind()
        if self._fast is not None:
            self._fast.apply(self._env.sim)
        self._synchronise()
        self._first_images = self._render()
        self._scene_hash = scene.scene_hash(scene.fixture_poses(self._env), self.state(), self._first_images)

    def step(self, action: np.ndarray) -> StepResult:
        """Execute one native action (7,) float64 in [-1, 1] for one control period."""
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (len(self.contract.action.names),) or not np.isfinite(action).all():
            raise CladError(f"an action must be {len(self.contract.action.names)} finite numbers, got {action}", "")
        started = time.perf_counter()
        _, reward, done, _ = self._env.step(action)
        self.physics_seconds += time.perf_counter() - started
        self._step += 1
        return StepResult(reward=float(reward), done=bool(done))

    def observe(self, images: bool = True) -> Observation:
        """What the robot sees and feels now. Changes nothing: episodes with and without observing are bit-equal."""
        self._synchronise()
        data, at_first_step = self.data, self._step == 0
        return Observation(
            step=self._step,
            images=(dict(self._first_images) if at_first_step else self._render()) if images else {},
            joint_position=data.qpos[self._joint_qpos].copy(),
            joint_velocity=data.qvel[self._joint_qvel].copy(),
            gripper_position=data.qpos[self._gripper_qpos].copy(),
            ee_position=data.site_xpos[self._ee_site].copy(),
            ee_quaternion=quaternion_wxyz_to_xyzw(data.xquat[self._ee_body]),
        )

    def state(self) -> np.ndarray:
        """The flat MuJoCo state: time, positions, velocities; (S,) float64."""
        return self._env.sim.get_state().flatten()

    def success(self) -> bool:
        """Whether the task's predicates hold now."""
        return bool(self._env.check_success())

    def scene_hash(self) -> str:
        """SHA-256 of the scene at step 0: fixture poses, state and first images (so also of visuals and image size)."""
        return self._scene_hash

    def camera_intrinsics(self, camera: str) -> np.ndarray:
        """K, (3, 3), pixels; pixel (0, 0) is the centre of the top left pixel, as OpenCV and ROS have it."""
        size = self.image_size
        focal = size / 2 / np.tan(np.radians(self.model.cam_fovy[self._camera_id(camera)]) / 2)
        centre = (size - 1) / 2
        return np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1.0]])

    def close(self) -> None:
        """Free the simulator and its GL context. Harmless when called twice."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def __enter__(self) -> LiberoEnv:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # --- internals

    def _bind(self) -> None:
        """Look up where the contract's joints and the hand live in the model."""
        import mujoco

        model, robot = self.model, self._env.robots[0]

        def joints(names):
            ids = [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, n) for n in names]
            if -1 in ids:
                raise CladError(f"LIBERO's robot has no joint {names[ids.index(-1)]}", "Use the contract 'libero'")
            return ids

        arm, fingers = joints(self.contract.joint_names), joints(self.contract.gripper_joint_names)
        self._joint_qpos = np.asarray(model.jnt_qposadr[arm])
        self._joint_qvel = np.asarray(model.jnt_dofadr[arm])
        self._gripper_qpos = np.asarray(model.jnt_qposadr[fingers])
        self._ee_site = robot.eef_site_id
        self._ee_body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, self.contract.ee_frame)

    def _synchronise(self) -> None:
        """Bring body, site and camera poses up to qpos: after a step MuJoCo leaves them one substep (2 ms) behind.

        Kinematics only: a full forward pass would touch the solver's warm start and so the trajectory.
        """
        import mujoco

        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def _camera_id(self, camera: str) -> int:
        if camera not in self.contract.cameras:
            raise unknown_name("camera", camera, self.contract.cameras)
        return self._env.sim.model.camera_name2id(self.contract.cameras[camera].sim_name)

    def _render(self) -> dict[str, np.ndarray]:
        started = time.perf_counter()
        size = self.image_size
        # another environment of this process may have been drawn meanwhile; robosuite does not switch back by itself
        self._env.sim._render_context_offscreen.gl_ctx.make_current()
        images = {
            name: image_from_opengl(self._env.sim.render(camera_name=spec.sim_name, height=size, width=size))
            for name, spec in self.contract.cameras.items()
        }
        self.render_seconds += time.perf_counter() - started
        return images


def _close_if_alive(env: weakref.ref[LiberoEnv]) -> None:
    if (alive := env()) is not None:
        alive.close()
