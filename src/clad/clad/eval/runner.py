"""Rollouts in this process or in several worker processes; each episode is an independent piece of work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clad.errors import CladError
from clad.eval.episodes import EpisodeSpec
from clad.eval.result import EpisodeRecord, episode_timing
from clad.eval.video import write_video
from clad.sim.perturbations import Perturbations

if TYPE_CHECKING:
    from clad.sim.libero_env import LiberoEnv


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What all episodes of an evaluation share. It crosses process borders, so it is plain data.

    protocol: 'exact' | 'classic' | 'sampled'. max_steps: 0 for the suite's published limit. out: where videos go.
    blind: zero the model's vision, whether it was trained so or not. execution: how chunks that act late are joined.
    sample_steps, warm_start: as of `Policy`.
    """

    model: str
    protocol: str
    visuals: str
    provider: str
    threads: int
    max_steps: int
    out: Path
    video: bool
    blind: bool = False
    precision: str = "fp32"
    fused: bool = False
    sample_steps: int = 0
    warm_start: bool = False
    perturbations: Perturbations = Perturbations()
    execution: str = "hold"


class Runner:
    """One model and the environment of the present task, for one episode after another. Use as a context manager.

    Each environment takes up to 2.5 GB and seconds to build: bring episodes in the order of their tasks.
    """

    def __init__(self, settings: Settings) -> None:
        from clad.contract import load_contract
        from clad.runtime.bundle import load_bundle
        from clad.runtime.planner import Planner
        from clad.runtime.policy import Policy

        self._settings = settings
        bundle = load_bundle(settings.model)
        self._bundle = bundle.blinded() if settings.blind else bundle
        self._contract = load_contract("libero")
        placement = {"provider": settings.provider, "threads": settings.threads, "precision": settings.precision}
        self._planner = Planner(self._bundle, self._contract, **placement)
        sampling = {"fused": settings.fused, "sample_steps": settings.sample_steps, "warm_start": settings.warm_start}
        self._policy = Policy(self._bundle, self._contract, **sampling, **placement)
        self._planner.warm_up()
        self._policy.warm_up()
        self._env: LiberoEnv | None = None

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Free the simulator."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def run(self, spec: EpisodeSpec) -> EpisodeRecord:
        """Run one episode and, when asked for, write its video."""
        from clad.sim.rollout import run_episode

        env = self._env_of(spec)
        frames: list = []
        result = run_episode(
            env,
            self._planner,
            self._policy,
            init_index=spec.init_index,
            seed=spec.seed,
            protocol=self._settings.protocol,
            execute_steps=self._bundle.execute_steps,
            max_steps=self._settings.max_steps or env.max_steps,
            on_frame=(lambda observation: frames.append((observation.step, observation.images)))
            if self._settings.video
            else None,
            execution=self._settings.execution,
        )
        video = None
        if self._settings.video:
            video = video_name(spec)
            write_video(
                self._settings.out / video,
                frames,
                fps=self._contract.control_rate,
                instruction=result.instruction,
                outcome=result.outcome,
            )
        return EpisodeRecord.of(
            spec,
            result,
            video=video,
            timing=episode_timing(
                encode=result.encode,
                plan=result.plan,
                policy=result.policy,
                render=result.render_time,
                physics=result.physics_time,
                wall=result.wall_time,
                fallbacks=result.fallbacks,
                gl_backend=env.backend,
            ),
        )

    def _env_of(self, spec: EpisodeSpec) -> LiberoEnv:
        from clad.sim.libero_env import LiberoEnv

        if self._env is not None and (self._env.info.suite, self._env.info.task) != (spec.suite, spec.task):
            self.close()
        if self._env is None:
            self._env = LiberoEnv(
                spec.suite,
                spec.task,
                contract=self._contract,
                visuals=self._settings.visuals,
                perturbations=self._settings.perturbations,
            )
        return self._env


def video_name(spec: EpisodeSpec) -> str:
    """File name of an episode's video, unique within one evaluation."""
    where = f"seed{spec.seed}" if spec.init_index is None else f"init{spec.init_index:02d}_seed{spec.seed}"
    return f"{spec.suite}_{spec.task}_{where}.mp4"


def run_all(settings: Settings, specs: Sequence[EpisodeSpec], workers: int) -> Iterator[EpisodeRecord]:
    """Run all episodes, in this process or in `workers` others, and yield each row as soon as it is there.

    With the protocols 'exact' and 'sampled' rows do not depend on the number of workers. Closing the generator, or an
    exception in the consumer, ends the workers.
    """
    if not specs:
        return
    if workers == 1:
        with Runner(settings) as runner:
            for spec in specs:
                yield runner.run(spec)
        return
    pool = ProcessPoolExecutor(
        max_workers=min(workers, len(specs)),
        mp_context=multiprocessing.get_context("spawn"),  # a forked GL context or ONNX session does not work
        initializer=_guard_worker,
    )
    processes: list = []
    try:
        futures = [pool.submit(_run_in_worker, settings, spec) for spec in specs]
        processes = list(pool._processes.values())  # the executor offers no other way to end a running episode
        for future in as_completed(futures):
            yield future.result()
    except BrokenExecutor as error:
        raise CladError(
            "a worker process died", "Run with --workers 1 to see why; memory is the usual reason"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(timeout=10)


_runner: Runner | None = None  # one a worker process: environment and sessions are kept between episodes


def _guard_worker() -> None:
    """Let the parent alone decide when this worker ends: not Ctrl-C, but the parent's death."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _run_in_worker(settings: Settings, spec: EpisodeSpec) -> EpisodeRecord:
    global _runner
    if _runner is None:  # not in the initializer, whose exceptions the executor swallows
        _runner = Runner(settings)
    return _runner.run(spec)
