"""The worker thread: one job at a time, the newest wins, a failure does not end it."""

from __future__ import annotations

import threading

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
    assert ran == [[1], [2, 3]]


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
