"""Collecting demonstrations: sampled scenes, scripted expert, several processes, one file in LIBERO's layout.

Safe to kill and to start again: each worker writes finished episodes as files of their own, this process links them,
and a second run goes on from what it finds. Scenes are sampled with seeds of their own and never are evaluation states.
"""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from clad.contract import load_contract
from clad.data import libero_hdf5
from clad.data.episode import Episode
from clad.errors import CladError, UsageError
from clad.sim import suites
from clad.sim.expert import tasks

FIRST_SEED = 1000  # lower seeds are for trying things out
_COMPRESSED = 0.45  # of the raw size; measured 0.35-0.4 on rendered pictures
_TYPICAL_STEPS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to collect. per_task: successful demonstrations wanted in the file in the end."""

    suite: str
    task: int
    per_task: int
    out: Path
    workers: int = 1
    first_seed: int = FIRST_SEED
    visuals: str = "full"

    @property
    def path(self) -> Path:
        """The file, named as upstream names its own."""
        return self.out / self.suite / f"{suites.task_info(self.suite, self.task).name}_demo.hdf5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One episode's outcome, as a worker reports it. part: its file, if it succeeded."""

    seed: int
    success: bool
    reason: str
    steps: int
    wall_s: float
    part: str = ""


def collect(job: Job) -> dict:
    """Collect until the file holds `per_task` successes; returns the summary that also lies beside the file as JSON.

    Raises UsageError for a task without an expert, CladError if the disk is too small or the expert fails on more
    than half of a good number of scenes.
    """
    tasks.script_for(job.suite, job.task)
    info = suites.task_info(job.suite, job.task)
    if job.first_seed < FIRST_SEED:
        raise UsageError(f"first seed {job.first_seed} is below {FIRST_SEED}", "Lower seeds are for trials")
    log = _Log(job)
    for part in libero_hdf5.unlinked_parts(job.path):
        libero_hdf5.link_part(job.path, part, file_attrs=_file_attrs(job))
    done = libero_hdf5.episode_metas(job.path) if job.path.is_file() else []
    _check_disk(job, job.per_task - len(done))
    started = time.time()
    if len(done) < job.per_task:
        _run(job, log, {meta["seed"] for meta in done if "seed" in meta} | log.failed_seeds, len(done))
    libero_hdf5.pack(job.path)
    return log.write(instruction=info.instruction, file=str(job.path), wall_s=round(time.time() - started, 1))


def _run(job: Job, log: _Log, used: set[int], have: int) -> None:
    from tqdm import tqdm

    seeds = (s for s in _count_from(job.first_seed) if s not in used)
    running: dict[Future, int] = {}
    bar = tqdm(total=job.per_task, initial=have, unit="demo", desc=f"{job.suite} {job.task}", file=sys.stderr)
    context = multiprocessing.get_context("spawn")  # GL contexts and threads do not survive a fork
    starting = {"initializer": _start_worker, "initargs": (job, os.getpid())}
    with ProcessPoolExecutor(job.workers, mp_context=context, **starting) as pool:
        try:
            while have < job.per_task:
                while len(running) < min(job.workers, job.per_task - have):  # never more than are still wanted
                    seed = next(seeds)
                    running[pool.submit(_attempt, seed)] = seed
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[future]
                    attempt = future.result()
                    log.add(attempt)
                    if attempt.success:
                        libero_hdf5.link_part(job.path, Path(attempt.part), file_attrs=_file_attrs(job))
                        have += 1
                        bar.update()
                    bar.set_postfix(failed=log.failures_now, steps=attempt.steps)
                if log.failures_now > 20 and log.failures_now > log.successes_now:
                    raise CladError(f"the expert failed on {log.failures_now} scenes", f"See {log.path}")
        except BrokenProcessPool as error:
            raise CladError("a worker process died", "Out of memory? Run again with fewer --workers") from error
        finally:
            bar.close()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list((pool._processes or {}).values()) if running else ():
                process.kill()  # interrupted: what they were at is worth nothing, finished parts are safe


# --- in the worker

_worker: _Worker | None = None


class _Worker:
    def __init__(self, job: Job) -> None:
        from clad.sim.libero_env import LiberoEnv

        self.job = job
        self.env = LiberoEnv(job.suite, job.task, visuals=job.visuals)

    def attempt(self, seed: int) -> Attempt:
        from clad.sim.expert.tasks import run_expert

        started, trace = time.time(), []
        self.env.reset_sampled(seed)
        outcome = run_expert(self.env, seed, images=True, on_step=trace.append)
        part = ""
        if outcome.success:
            part = str(libero_hdf5.parts_folder(self.job.path) / f"seed_{seed}.hdf5")
            libero_hdf5.save_part(Path(part), self._episode(seed, trace), states=np.stack([t.state for t in trace]))
        return Attempt(
            seed=seed,
            success=outcome.success,
            reason=outcome.reason,
            steps=outcome.steps,
            wall_s=round(time.time() - started, 1),
            part=part,
        )

    def _episode(self, seed: int, trace: list) -> Episode:
        observations = [t.observation for t in trace]

        def stacked(field: str) -> np.ndarray:
            return np.stack([getattr(o, field) for o in observations])

        return Episode(
            name=f"seed_{seed}",
            instruction=self.env.instruction,
            images={camera: np.stack([o.images[camera] for o in observations]) for camera in observations[0].images},
            joint_position=stacked("joint_position"),
            joint_velocity=stacked("joint_velocity"),
            gripper_position=stacked("gripper_position"),
            ee_position=stacked("ee_position"),
            ee_quaternion=stacked("ee_quaternion"),
            executed=np.stack([t.executed for t in trace]),
            expert=np.stack([t.expert for t in trace]),
            label_valid=np.array([t.label_valid for t in trace]),
            meta={
                "suite": self.job.suite,
                "task": self.job.task,
                "seed": seed,
                "protocol": "sampled",
                "visuals": self.job.visuals,
                "scene_hash": self.env.scene_hash(),
                "source": "scripted expert",
            },
        )


def _start_worker(job: Job, parent: int) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no orphan if the parent is killed
        if os.getppid() != parent:
            os._exit(1)
    os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa's software renderer would take every core in every worker
    _worker = _Worker(job)


def _attempt(seed: int) -> Attempt:
    assert _worker is not None
    return _worker.attempt(seed)


# --- bookkeeping


class _Log:
    """The JSON beside the file: every attempt of every run, so that failures are counted and not tried again."""

    def __init__(self, job: Job) -> None:
        self.job, self.path = job, job.path.with_suffix(".json")
        self.attempts = json.loads(self.path.read_text())["attempts"] if self.path.is_file() else []
        self.successes_now = self.failures_now = 0

    @property
    def failed_seeds(self) -> set[int]:
        return {a["seed"] for a in self.attempts if not a["success"]}

    def add(self, attempt: Attempt) -> None:
        self.attempts.append({k: v for k, v in asdict(attempt).items() if k != "part"})
        self.successes_now += attempt.success
        self.failures_now += not attempt.success
        self.write()

    def write(self, **more) -> dict:
        failed = [a for a in self.attempts if not a["success"]]
        summary = {
            "schema": 1,
            "suite": self.job.suite,
            "task": self.job.task,
            "visuals": self.job.visuals,
            "attempts_n": len(self.attempts),
            "failures_n": len(failed),
            **more,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".json.tmp")
        temporary.write_text(json.dumps(summary | {"attempts": self.attempts}, indent=1))
        os.replace(temporary, self.path)
        return summary


def estimate_bytes(job: Job, demos: int) -> int:
    """Disk that `demos` more demonstrations take, packing (which holds everything twice for a moment) included."""
    contract = load_contract("libero")
    frame = contract.image_size**2 * 3 * len(contract.cameras)
    return int(2 * demos * _TYPICAL_STEPS * frame * _COMPRESSED)


def _check_disk(job: Job, demos: int) -> None:
    job.path.parent.mkdir(parents=True, exist_ok=True)
    need, free = estimate_bytes(job, max(0, demos)), shutil.disk_usage(job.path.parent).free
    print(f"{job.path.name}: {demos} to go, up to {need / 1e9:.1f} GB of disk ({free / 1e9:.0f} free)", file=sys.stderr)
    if need > 0.95 * free:
        message = f"{need / 1e9:.1f} GB needed, {free / 1e9:.1f} free in {job.out}"
        raise CladError(message, "Choose another --out or a smaller --per-task")


def _file_attrs(job: Job) -> dict:
    info = suites.task_info(job.suite, job.task)
    return {
        "problem_info": {"language_instruction": info.instruction, "task_name": info.name},
        "env_args": {"suite": job.suite, "task": job.task, "control_freq": 20, "controller": "OSC_POSE"},
        "bddl_file_name": info.bddl.name,
    }


def _count_from(first: int) -> Iterator[int]:
    while True:
        yield first
        first += 1
