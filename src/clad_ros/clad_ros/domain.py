"""A ROS domain of one's own, on loopback only, so that two graphs on a machine do not hear each other."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from clad.errors import CladError, UsageError

DOMAINS = range(1, 102)  # 0 is everybody's default; from 102 on, ports collide with Linux's ephemeral ones
LAST_DOMAIN = 232  # the last one whose ports exist
DISCOVERY_PORT, DOMAIN_GAIN, UNICAST_OFFSET = 7400, 250, 10  # DDSI-RTPS: unicast discovery listens on 7410 + 250 domain


@contextmanager
def own_domain() -> Iterator[int]:
    """Within, ROS_DOMAIN_ID is a domain that nobody else here uses, and discovery stays on this machine.

    A domain or discovery range that the user has set stays as it is; others may listen there, but a second graph of ours
    is refused. Raises UsageError for that, CladError when all domains are in use.
    """
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    given = os.environ.get("ROS_DOMAIN_ID")
    if given:
        if not given.isdecimal() or int(given) > LAST_DOMAIN:
            raise UsageError(
                f"ROS_DOMAIN_ID is '{given}'", f"Valid: 0 to {LAST_DOMAIN}; unset it to have a free one chosen"
            )
        with _locked(int(given)) as ours:
            if not ours:
                raise UsageError(
                    f"another graph runs in ROS domain {given}", "Unset ROS_DOMAIN_ID to have a free one chosen"
                )
            yield int(given)
        return
    for domain in DOMAINS:
        with _locked(domain) as ours:  # a graph that was not started here has no lock, but listens
            if not ours or not _is_silent(domain):
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


def domain_of_graph() -> int:
    """The domain to look for a running graph in: the environment's, else that of the only graph started on this machine.

    Raises UsageError when several run. Where none does it is 0, everybody's default.
    """
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if given := os.environ.get("ROS_DOMAIN_ID"):
        return int(given)
    running = []
    for domain in DOMAINS:
        with _locked(domain) as ours:
            if not ours:
                running.append(domain)
    if len(running) > 1:
        raise UsageError(f"graphs run in the ROS domains {', '.join(map(str, running))}", "Set ROS_DOMAIN_ID to one")
    return running[0] if running else 0


@contextmanager
def _locked(domain: int) -> Iterator[bool]:
    """Whether the domain's lock on this machine is ours within; it ends with the process at the latest."""
    with ExitStack() as stack:
        try:
            lock = stack.enter_context((Path(tempfile.gettempdir()) / f"clad-ros-domain-{domain}.lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = True
        except OSError:  # held by another process, or another user's file
            ours = False
        yield ours


def _is_silent(domain: int) -> bool:
    """Whether no participant of this domain listens on this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", DISCOVERY_PORT + DOMAIN_GAIN * domain + UNICAST_OFFSET))
        except OSError:
            return False
    return True
