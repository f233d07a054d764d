"""The processes that train one model together, one a GPU: what each of them computes, and how they agree.

Every process holds the whole model and draws the same batch, noise and diffusion steps from the same random state. It
computes its part of the batch; the gradients are averaged, and all take the same step. So a run does not depend on how
many processes there are, up to rounding and to what a network draws inside itself (dropout, action masks).
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from clad.errors import CladError, UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """One process's place among `size`; it computes on `device`. The default is a process on its own."""

    device: torch.device = torch.device("cpu")
    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def say(self, text: str) -> None:
        """Print, once for all processes."""
        if self.first:
            print(text, flush=True)

    def require_parts(self, batch: int) -> None:
        """Raises UsageError unless a batch of that size splits evenly."""
        if batch % self.size:
            raise UsageError(
                f"a batch of {batch} does not split over {self.size} processes",
                "Choose another number, or another batch: --set train_STAGE.batch=N",
            )

    def part(self, batch: T) -> T:
        """This process's rows of a batch: a tensor (B, ...) or (named) tuples of them."""
        if self.size == 1:
            return batch
        if isinstance(batch, torch.Tensor):
            return batch.chunk(self.size)[self.rank]
        parts = map(self.part, batch)
        return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)

    @contextmanager
    def own_randomness(self, seed: int, step: int) -> Iterator[None]:
        """Within, each process draws its own random numbers, a function of (seed, step, rank); afterwards the common
        random state is as before. A process on its own draws from the common state."""
        if self.size == 1:
            yield
            return
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            own = np.random.SeedSequence([seed, step, self.rank]).generate_state(1, np.uint64)
            torch.manual_seed(int(own[0]))
            yield

    def average_gradients(self, module: nn.Module) -> None:
        """Replace each gradient by its mean over all processes."""
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        if self.size > 1:
            nn.utils.vector_to_parameters(self.mean(nn.utils.parameters_to_vector(gradients)), gradients)

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean of a tensor over all processes."""
        if self.size == 1:
            return value
        from accelerate.utils import reduce

        with _company():
            return reduce(value, "mean")

    def agree(self, value: T) -> T:
        """The first process's value: what decides how to go on must not differ between processes."""
        if self.size == 1:
            return value
        from accelerate.utils import broadcast_object_list

        with _company():
            return broadcast_object_list([value])[0]


ALONE = Team()


def launch(command: list[str], processes: int, threads: int) -> int:
    """Run `command` in that many processes of a team on this machine and return its exit code, 130 after Ctrl-C.

    When one of them fails the others are ended. Raises CladError when one was killed.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the processes speak for themselves
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=str(os.getpid()),
        max_restarts=0,
    )
    try:
        elastic_launch(config, command[0])(*command[1:])
    except SignalException:
        return 130
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return failure.exitcode
        raise CladError(
            f"process {rank} was killed by {signal.Signals(-failure.exitcode).name}",
            "--resume goes on from the last validation",
        ) from error
    return 0


def join(device: str = "cpu") -> Team:
    """The team that this process was launched into (`clad train --processes`, `accelerate launch`), or a team of one.

    Raises UsageError for a single GPU's name in a team, CladError when accelerate is not installed or does not start.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team(torch.device(device))
    if device not in ("cpu", "cuda"):
        raise UsageError(f"{size} processes cannot share device '{device}'", "Use --device cuda: one GPU a process")
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise CladError(
            f"several processes need accelerate ({error})", "Install it: pip install -r requirements/train.txt"
        ) from error
    with _company():
        state = PartialState(cpu=device == "cpu")
    if state.num_processes != size:
        raise CladError(
            f"accelerate started {state.num_processes} process, {size} were launched", "Give --device cpu or cuda"
        )
    return Team(state.device, state.process_index, size)


def leave() -> None:
    """Take leave of the team, if there was one, once all have come so far; call it at the end of a run that went well."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        with _company():
            torch.distributed.barrier()
        torch.distributed.destroy_process_group()


@contextmanager
def _company() -> Iterator[None]:
    """Say in one line that the other processes are gone."""
    try:
        yield
    except RuntimeError as error:
        raise CladError(
            f"the other processes of this run cannot be reached: {str(error).splitlines()[0]}",
            "See what they said; --resume goes on from the last validation",
        ) from error
