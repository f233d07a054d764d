"""Real-time scheduling of a process of its own: every thread has it, and refusal is told."""

import json
import os
import subprocess
import sys

import pytest

from clad.errors import UsageError
from clad_ros.realtime import take_precedence

TAKES = """
import json, os, sys, threading
from clad.errors import CladError
from clad_ros.realtime import take_precedence

stop, threads = threading.Event(), []
def start():
    threads.append(threading.Thread(target=stop.wait))
    threads[-1].start()

if len(sys.argv) > 1:
    os.setuid(int(sys.argv[1]))
start()
try:
    take_precedence(7)
except CladError as error:
    print(json.dumps(str(error)))
    stop.set()
    sys.exit(3)
start()
tasks = [int(task) for task in os.listdir("/proc/self/task")]
locked = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmLck"))
print(json.dumps([[(os.sched_getscheduler(t), os.sched_getparam(t).sched_priority) for t in tasks], int(locked)]))
stop.set()
"""
NOBODY = "65534"


def taken(*arguments):
    done = subprocess.run([sys.executable, "-c", TAKES, *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


def test_every_thread_and_those_that_come_later():
    code, told = taken()
    if code == 3:
        pytest.skip(f"not allowed here: {told}")
    threads, locked = told
    assert len(threads) >= 3 and set(map(tuple, threads)) == {(os.SCHED_RR, 7)}
    assert locked > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give the right up")
def test_a_refusal_names_the_remedy():
    code, told = taken(NOBODY)
    assert code == 3 and "rtprio" in told


def test_priorities_that_do_not_exist():
    before = os.sched_getscheduler(0)
    with pytest.raises(UsageError, match="1 to 99"):
        take_precedence(100)
    take_precedence(0)
    assert os.sched_getscheduler(0) == before
