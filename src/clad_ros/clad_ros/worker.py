"""A thread for inference, so that the executor keeps its time: ONNX Runtime releases the GIL, the executor goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from clad.runtime.execution.latency import Decaying

Job = TypeVar("Job")


class Worker(Generic[Job]):
    """Runs one job at a time and keeps at most one waiting: a newer one takes the place of the one that waits.

    `merge(waiting, newer)` may carry over what the replaced job must not lose (executed actions, for a planner).
    `failed(exception)` is called in the worker's thread when a job raises; the worker goes on with the next one.
    `replaced`: how many jobs were never run, because a newer one came.
    """

    def __init__(
        self,
        run: Callable[[Job], None],
        failed: Callable[[Exception], None],
        merge: Callable[[Job, Job], Job] = lambda waiting, newer: newer,
    ) -> None:
        self._run, self._failed, self._merge = run, failed, merge
        self._waiting: Job | None = None
        self._since = 0  # when the job that waits was handed over, monotonic ns
        self._waits = Decaying()
        self.replaced = 0
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="worker", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> bool:
        """Hand a job over; False when it took the place of one that had not been started."""
        with self._wake:
            replaced = self._waiting is not None
            self._waiting = self._merge(self._waiting, job) if replaced else job
            self._since = time.monotonic_ns()
            self.replaced += replaced
            self._wake.notify()
        return not replaced

    @property
    def queue_age_ms(self) -> str:
        """'p50 / p95', how long jobs have waited of late until they were begun. For the worker's own thread."""
        waited = self._waits.estimate
        return waited.text if waited else "warming up"

    def close(self) -> None:
        """Finish the job in progress, forget the one that waits, end the thread."""
        with self._wake:
            self._closed = True
            self._waiting = None
            self._wake.notify()
        self._thread.join()

    def _loop(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting is not None or self._closed)
                if self._closed:
                    return
                job, self._waiting = self._waiting, None
                self._waits.add(time.monotonic_ns() - self._since)
            try:
                self._run(job)
            except Exception as error:  # a bad observation must not end the thread that good ones need
                self._failed(error)
