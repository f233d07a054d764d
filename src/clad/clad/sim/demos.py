"""Collecting demonstrations: sampled scenes, scripted experts, several tasks and processes, a file a task in LIBERO's layout.

Safe to kill and to start again: each worker writes finished episodes as files of their own, this process links them,
and a second run goes on from what it finds. Tasks grow in turns, a block of demonstrations each, so that an unfinished
run has some of each. Scenes are sampled with seeds of their own and never are evaluation states.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from clad.data import libero_hdf5
from clad.data.episode import Episode
from clad.data.no_ops import no_ops
from clad.errors import CladError, UsageError
from clad.sim import suites
from clad.sim.demo_files import FIRST_SEED, Attempt, DemoFile, Job, check_disk
from clad.sim.expert import tasks

BLOCK = 10  # demonstrations of a task in a row: a worker takes seconds to change its scene


def tasks_with_expert(suite: str) -> tuple[int, ...]:
    """The tasks of a suite that `collect` can demonstrate. Raises UsageError when there is none."""
    if suite not in tasks.EXPERTS:
        tasks.script_for(suite, 0)  # its error names the tasks that have one
    return tasks.EXPERTS[suite]


def collect(jobs: Sequence[Job], workers: int = 1) -> list[dict]:
    """Collect until every job's file holds its `per_task` successes.

    Returns a summary a job, which also lies beside the file as JSON. Raises UsageError for a task without an expert,
    CladError if the disk is too small, or, when all other tasks are done, if an expert failed on more than half of a
    good number of scenes.
    """
    for job in jobs:
        tasks.script_for(job.suite, job.task)
        if job.first_seed < FIRST_SEED:
            raise UsageError(f"first seed {job.first_seed} is below {FIRST_SEED}", "Lower seeds are for trials")
    files = [DemoFile(job) for job in jobs]
    check_disk(files)
    started = time.time()
    if any(file.wants for file in files):
        _run(files, workers)
    summaries = []
    for file in files:
        if file.have:
            libero_hdf5.pack(file.job.path)
        instruction = suites.task_info(file.job.suite, file.job.task).instruction
        summaries.append(
            file.write(
                instruction=instruction,
                file=str(file.job.path),
                demonstrations_n=file.have,
                wall_s=round(time.time() - started, 1),
            )
        )
    if bad := [f"{file.job.suite} {file.job.task}" for file in files if file.hopeless]:
        raise CladError(f"the expert failed on most scenes of {', '.join(bad)}", "See the JSON beside each file")
    return summaries


def _run(files: list[DemoFile], workers: int) -> None:
    from tqdm import tqdm

    running: dict[Future, DemoFile] = {}
    bar = tqdm(
        total=sum(file.job.per_task for file in files),
        initial=sum(min(file.have, file.job.per_task) for file in files),
        unit="demo",
        desc=files[0].job.suite,
        file=sys.stderr,
    )
    context = multiprocessing.get_context("spawn")  # GL contexts and threads do not survive a fork
    starting = {"initializer": _start_worker, "initargs": (os.getpid(),)}
    with ProcessPoolExecutor(workers, mp_context=context, **starting) as pool:
        try:
            while True:
                while len(running) < workers and (file := _next(files)):
                    running[pool.submit(_attempt, file.job, file.take_seed())] = file
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    file, attempt = running.pop(future), future.result()
                    if file.add(attempt):
                        bar.update()
                    failed = sum(f.failures_now for f in files)
                    bar.set_postfix(task=file.job.task, steps=attempt.steps, failed=failed)
        except BrokenProcessPool as error:
            raise CladError("a worker process died", "Out of memory? Run again with fewer --workers") from error
        finally:
            bar.close()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list((pool._processes or {}).values()) if running else ():
                process.kill()  # interrupted: what they were at is worth nothing, finished parts are safe


def _next(files: list[DemoFile]) -> DemoFile | None:
    """Whose turn it is: the first file with the fewest whole blocks; never more attempts than are still wanted."""
    return min((f for f in files if f.wants), key=lambda f: (f.have + f.running) // BLOCK, default=None)


# --- in the worker

_worker: _Worker | None = None


class _Worker:
    """One environment at a time: each takes 1.0 to 2.5 GB."""

    def __init__(self) -> None:
        self.env = None

    def attempt(self, job: Job, seed: int) -> Attempt:
        from clad.sim.expert.tasks import run_expert

        started, trace = time.time(), []
        self._enter(job)
        self.env.reset_sampled(seed)
        outcome = run_expert(self.env, seed, images=True, on_step=trace.append)
        part = ""
        if outcome.success:
            part = str(libero_hdf5.parts_folder(job.path) / f"seed_{seed}.hdf5")
            states = np.stack([t.state for t in trace])
            libero_hdf5.save_part(Path(part), self._episode(job, seed, trace), states=states)
        return Attempt(
            seed=seed,
            success=outcome.success,
            reason=outcome.reason,
            steps=outcome.steps,
            wall_s=round(time.time() - started, 1),
            part=part,
        )

    def _enter(self, job: Job) -> None:
        from clad.sim.libero_env import LiberoEnv

        if self.env is not None and (self.env.info.suite, self.env.info.task) != (job.suite, job.task):
            self.env.close()
            self.env = None
        if self.env is None:
            self.env = LiberoEnv(job.suite, job.task, visuals=job.visuals)

    def _episode(self, job: Job, seed: int, trace: list) -> Episode:
        observations = [t.observation for t in trace]

        def stacked(field: str) -> np.ndarray:
            return np.stack([getattr(o, field) for o in observations])

        expert, gripper = np.stack([t.expert for t in trace]), stacked("gripper_position")
        return Episode(
            name=f"seed_{seed}",
            instruction=self.env.instruction,
            images={camera: np.stack([o.images[camera] for o in observations]) for camera in observations[0].images},
            joint_position=stacked("joint_position"),
            joint_velocity=stacked("joint_velocity"),
            gripper_position=gripper,
            ee_position=stacked("ee_position"),
            ee_quaternion=stacked("ee_quaternion"),
            executed=np.stack([t.executed for t in trace]),
            expert=expert,
            label_valid=np.array([t.label_valid for t in trace]) & ~no_ops(expert, gripper),
            meta={
                "suite": job.suite,
                "task": job.task,
                "seed": seed,
                "protocol": "sampled",
                "visuals": job.visuals,
                "scene_hash": self.env.scene_hash(),
                "source": "scripted expert",
            },
        )


def _start_worker(parent: int) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no orphan if the parent is killed
        if os.getppid() != parent:
            os._exit(1)
    os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa's software renderer would take every core in every worker
    _worker = _Worker()


def _attempt(job: Job, seed: int) -> Attempt:
    assert _worker is not None
    return _worker.attempt(job, seed)
