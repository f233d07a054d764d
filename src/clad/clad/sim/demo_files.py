"""A task's file of demonstrations while it is being collected, and the log of attempts beside it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from clad.contract import load_contract
from clad.data import libero_hdf5
from clad.errors import CladError
from clad.sim import suites

FIRST_SEED = 1000  # lower seeds are for trying things out
_COMPRESSED = 0.45  # of the raw size; measured 0.35-0.4 on rendered pictures
_GIVE_UP = 20  # failures in one run after which an expert must have succeeded more often than failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to collect of one task. per_task: successful demonstrations wanted in the file in the end."""

    suite: str
    task: int
    per_task: int
    out: Path
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


class DemoFile:
    """One job's file, and the JSON beside it: every attempt of every run, so that failures count and are not repeated.

    have: demonstrations in the file. running: attempts under way. failures_now, successes_now: of this run.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.log = job, job.path.with_suffix(".json")
        self.attempts = json.loads(self.log.read_text())["attempts"] if self.log.is_file() else []
        self.running = self.successes_now = self.failures_now = 0
        for part in libero_hdf5.unlinked_parts(job.path):
            libero_hdf5.link_part(job.path, part, file_attrs=self._attrs())
        metas = libero_hdf5.episode_metas(job.path) if job.path.is_file() else []
        self.have = len(metas)
        used = {meta["seed"] for meta in metas if "seed" in meta} | {
            a["seed"] for a in self.attempts if not a["success"]
        }
        self._seeds = (seed for seed in _count_from(job.first_seed) if seed not in used)

    @property
    def wants(self) -> bool:
        """Whether another attempt is due."""
        return not self.hopeless and self.have + self.running < self.job.per_task

    @property
    def hopeless(self) -> bool:
        """Whether the expert has failed too often in this run to go on."""
        return self.failures_now > max(_GIVE_UP, self.successes_now)

    def take_seed(self) -> int:
        """The seed of the next attempt, which is under way from now on."""
        self.running += 1
        return next(self._seeds)

    def add(self, attempt: Attempt) -> bool:
        """Take a finished attempt in; returns whether the file has a demonstration more."""
        self.running -= 1
        self.attempts.append({k: v for k, v in asdict(attempt).items() if k != "part"})
        self.successes_now += attempt.success
        self.failures_now += not attempt.success
        self.write()
        if attempt.success:
            libero_hdf5.link_part(self.job.path, Path(attempt.part), file_attrs=self._attrs())
            self.have += 1
        return attempt.success

    def write(self, **more) -> dict:
        """Replace the JSON; returns it without the single attempts."""
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
        self.log.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.log.with_suffix(".json.tmp")
        temporary.write_text(json.dumps(summary | {"attempts": self.attempts}, indent=1))
        os.replace(temporary, self.log)
        return summary

    @property
    def bytes_to_come(self) -> int:
        """Disk that the demonstrations still wanted take; half the published step limit is long for an expert."""
        contract, info = load_contract("libero"), suites.task_info(self.job.suite, self.job.task)
        frame = contract.image_size**2 * 3 * len(contract.cameras)
        missing = max(0, self.job.per_task - self.have)
        return int(missing * info.max_steps / 2 * frame * _COMPRESSED)

    def _attrs(self) -> dict:
        info = suites.task_info(self.job.suite, self.job.task)
        return {
            "problem_info": {"language_instruction": info.instruction, "task_name": info.name},
            "env_args": {"suite": self.job.suite, "task": self.job.task, "control_freq": 20, "controller": "OSC_POSE"},
            "bddl_file_name": info.bddl.name,
        }


def check_disk(files: Sequence[DemoFile]) -> None:
    """Say what all the files still need, packing (which holds one file twice for a moment) included; refuse too much."""
    folder = files[0].job.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [file.bytes_to_come for file in files]
    need, free = sum(sizes) + max(sizes), shutil.disk_usage(folder).free
    missing = sum(max(0, file.job.per_task - file.have) for file in files)
    print(
        f"{folder}: {missing} demonstrations to go in {len(files)} file{'s' * (len(files) > 1)}, "
        f"up to {need / 1e9:.1f} GB of disk ({free / 1e9:.0f} free)",
        file=sys.stderr,
    )
    if need > 0.95 * free:
        message = f"{need / 1e9:.1f} GB needed, {free / 1e9:.1f} free in {folder}"
        raise CladError(message, "Choose another --out or a smaller --per-task")


def _count_from(first: int) -> Iterator[int]:
    while True:
        yield first
        first += 1
