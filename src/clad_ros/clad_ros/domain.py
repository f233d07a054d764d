"""A ROS domain of one's own, on loopback only, so that two graphs on a machine do not hear each other."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clad.errors import CladError, UsageError

DOMAINS = range(1, 102)  # 0 is everybody's default; from 102 on, ports collide with Linux's ephemeral ones
DISCOVERY_PORT, DOMAIN_GAIN, UNICAST_OFFSET = 7400, 250, 10  # DDSI-RTPS: unicast discovery listens on 7410 + 250 domain


@contextmanager
def own_domain() -> Iterator[int]:
    """Within, ROS_DOMAIN_ID is a domain that nobody else here uses, and discovery stays on this machine.

    A domain or discovery range that the user has set stays as it is. Raises CladError when all domains are in use.
    """
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    given = os.environ.get("ROS_DOMAIN_ID")
    if given:
        if not given.isdigit():
            raise UsageError(f"ROS_DOMAIN_ID is '{given}'", "It must be a number; unset it to have one chosen")
        yield int(given)
        return
    for domain in DOMAINS:
        # the lock is ours until the process ends; a graph that was not started here has no lock, but listens
        with (Path(tempfile.gettempdir()) / f"clad-ros-domain-{domain}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            if not _is_silent(domain):
                continue
            os.environ["ROS_DOMAIN_ID"] = str(domain)
            try:
                yield domain
            finally:
                del os.environ["ROS_DOMAIN_ID"]
            return
    raise CladError(
        f"all ROS domains from {DOMAINS[0]} to {DOMAINS[-1]} are in use", "End other graphs, or set ROS_DOMAIN_ID"
    )


def _is_silent(domain: int) -> bool:
    """Whether no participant of this domain listens on this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", DISCOVERY_PORT + DOMAIN_GAIN * domain + UNICAST_OFFSET))
        except OSError:
            return False
    return True
