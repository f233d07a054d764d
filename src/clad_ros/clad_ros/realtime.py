"""Precedence over a machine's other work, as ros2_control's controller manager takes it: scheduling and memory."""

from __future__ import annotations

import contextlib
import ctypes
import os

from clad.errors import CladError, UsageError

_LOCK_ALL = (
    1 | 2 | 4
)  # MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT: what is touched stays, what is only reserved costs nothing
_REMEDY = "Allow it (limits.d: rtprio and memlock; Docker: --cap-add SYS_NICE --ulimit memlock=-1), or leave it out"


def take_precedence(priority: int) -> None:
    """Round-robin real-time scheduling for every thread of this process, now and later; its memory is never paged out.

    priority: 1 to 99; 0 changes nothing. Raises UsageError for any other, CladError where the system does not allow it.
    """
    if not priority:
        return
    if not 1 <= priority <= 99:
        raise UsageError(f"realtime is {priority}", "Give a priority from 1 to 99, or 0 for none")
    try:
        for thread in os.listdir("/proc/self/task"):  # those that come later inherit it
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread), os.SCHED_RR, os.sched_param(priority))
    except PermissionError as error:
        raise CladError(f"real-time priority {priority} is not allowed here", _REMEDY) from error
    if ctypes.CDLL(None, use_errno=True).mlockall(_LOCK_ALL):
        raise CladError(f"memory cannot be locked: {os.strerror(ctypes.get_errno())}", _REMEDY)
