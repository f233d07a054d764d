"""The worker thread: one job at a time, the newest wins, a failure does not end it."""

from __future__ import annotations

import threading
import time

from clad.runtime.execution.latency import WARM_UP
from clad_ros.worker import Worker


def test_the_newest_job_wins_and_what_must_not_be_lost_is_merged():
    started, go, done = threading.Event(), threading.Event(), threading.Event()
    ran = []

    def run(job):
        started.set()
        go.wait(10)
        ran.append(job)
        if len(ran) == 2:
            done.set()

    worker = Worker(run, failed=lambda error: None, merge=lambda waiting, newer: waiting + newer)
    assert worker.submit([1])
    assert started.wait(10)  # job 1 runs; the others find it busy
    assert worker.submit([2])
    assert not worker.submit([3])
    go.set()
    assert done.wait(10)
    worker.close()
    assert ran == [[1], [2, 3]] and worker.replaced == 1


def test_it_says_how_long_jobs_wait():
    told, ran = [], threading.Semaphore(0)
    began, go = threading.Event(), threading.Event()

    def run(job):
        told.append(worker.queue_age_ms)
        ran.release()
        if job == "slow":
            began.set()
            go.wait(10)

    worker = Worker(run, failed=lambda error: None)
    for _ in range(WARM_UP + 1):  # each finds it idle
        worker.submit("quick")
        assert ran.acquire(timeout=10)
    assert told[0] == "warming up"
    idle = float(told[-1].split(" / ")[1])
    worker.submit("slow")
    assert began.wait(10) and ran.acquire(timeout=10)
    for job in ("late", "later"):  # both wait behind the slow one, and one takes the other's place
        worker.submit(job)
    time.sleep(0.05)
    go.set()
    assert ran.acquire(timeout=10)
    worker.close()
    assert float(told[-1].split(" / ")[1]) >= 50 > idle and worker.replaced == 1


def test_a_failing_job_is_reported_and_the_next_one_runs():
    errors, done = [], threading.Event()

    def run(job):
        if job == "bad":
            raise ValueError(job)
        done.set()

    reported = threading.Event()
    worker = Worker(run, failed=lambda error: (errors.append(str(error)), reported.set()))
    worker.submit("bad")
    assert reported.wait(10)
    worker.submit("good")
    assert done.wait(10)
    worker.close()
    assert errors == ["bad"]
