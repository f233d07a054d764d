"""What the two training loops share: learning rate, averaged weights, progress, the log and when to stop."""

from __future__ import annotations

import copy
import json
import math
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from clad.model.config import OptimConfig
from clad.train.team import Team

TICK_SECONDS = 10.0
MIN_RATE = 0.01  # of the peak, at the end of the cosine


def make_optimizer(module: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW at the configured peak rate."""
    return torch.optim.AdamW(module.parameters(), lr=config.rate, weight_decay=config.weight_decay, fused=True)


def autocast(config: OptimConfig, device: torch.device) -> torch.autocast:
    """The context for forward passes in the configured precision; weights and optimiser stay in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


def set_rate(optimizer: torch.optim.Optimizer, config: OptimConfig, step: int) -> float:
    """Linear warm-up, then cosine down to MIN_RATE of the peak at the last step. Returns the rate."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / config.steps)))
    rate = config.rate * warm * max(cosine, MIN_RATE)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


class Averaged:
    """An exponential moving average of a module's weights; with decay 0 `module` is that module itself."""

    def __init__(self, online: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(online).requires_grad_(False) if decay > 0 else online
        self._decay = decay

    @torch.no_grad()
    def update(self, online: nn.Module, step: int) -> None:
        """Early on the decay is smaller, so that the average does not remember the initial weights."""
        if self.module is online:
            return
        decay = min(self._decay, step / (step + 20))
        torch._foreach_lerp_(list(self.module.parameters()), list(online.parameters()), 1 - decay)


class Stop(Exception):
    """Raised inside the loop by SIGTERM, so that it can save before it ends."""


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM ends the block with Stop, as Ctrl-C ends it with KeyboardInterrupt; the old handler returns afterwards."""

    def stop(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Mute:
    """The log of a process for which another one speaks."""

    out_of_time = False

    def tick(self, step: int) -> None:
        """Say nothing."""

    def write(self, step: int, metrics: Mapping[str, float], note: str = "") -> None:
        """Record nothing."""

    def close(self) -> None:
        """Nothing is open."""


class Log:
    """One stage's metrics: tensorboard scalars, a line of metrics.jsonl and a line on the terminal per validation."""

    def __init__(self, run: Path, steps: int, start: int, max_minutes: float) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(run / "tensorboard", purge_step=start + 1)
        self._file = (run / "metrics.jsonl").open("a")
        self._steps, self._start, self._max_minutes = steps, start, max_minutes
        self._began = self._ticked = time.monotonic()

    @property
    def minutes(self) -> float:
        """Since this process began to train."""
        return (time.monotonic() - self._began) / 60

    @property
    def out_of_time(self) -> bool:
        """True once --max-minutes have passed (0: never)."""
        return 0 < self._max_minutes <= self.minutes

    def tick(self, step: int) -> None:
        """Say how far it is, after every step but at most every TICK_SECONDS; one line that is overwritten on a terminal."""
        now = time.monotonic()
        if now - self._ticked < TICK_SECONDS:
            return
        self._ticked = now
        terminal = sys.stderr.isatty()
        print(self._where(step), end="\r" if terminal else "\n", file=sys.stderr, flush=True)

    def write(self, step: int, metrics: Mapping[str, float], note: str = "") -> None:
        """Record the metrics of a validation after `step` steps."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._file.write(json.dumps({"step": step, **metrics}) + "\n")
        self._file.flush()
        values = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        print(f"{self._where(step)}  {values}  {note}".rstrip(), flush=True)

    def close(self) -> None:
        """Flush and close both logs."""
        self._writer.close()
        self._file.close()

    def _where(self, step: int) -> str:
        rate = (step - self._start) / max(1e-9, self.minutes * 60)
        left = f"{(self._steps - step) / rate / 60:.1f} min left" if rate > 0 else ""
        return f"step {step}/{self._steps}  {rate:.1f}/s  {left}"


def open_log(team: Team, run: Path, steps: int, start: int, max_minutes: float) -> Log | Mute:
    """The log of a run that goes from step `start` to `steps`; only the team's first process has one."""
    return Log(run, steps, start, max_minutes) if team.first else Mute()
