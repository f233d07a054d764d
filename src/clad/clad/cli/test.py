"""`clad test`: pytest over every package of the checkout, in an environment that disturbs no other ROS graph."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import clad
from clad.errors import CladError

HELP = "run the tests of all packages; paths and options of pytest's own may follow"
PASS_THROUGH = True

EXAMPLES = """\
  clad test                        all quick tests (a few minutes)
  clad test --all                  also the slow ones: whole episodes, training, both protocols
  clad test launch -k supervisor   one folder, and pytest's own options
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="also run the tests marked slow")


def run(args: argparse.Namespace) -> int:
    """Returns pytest's exit code; its summary is the last line."""
    root = checkout()
    command = [sys.executable, "-m", "pytest", "-q", "-rs", *([] if args.all else ["-m", "not slow"]), *args.rest]
    return subprocess.run(command, cwd=root, env=environment(os.environ)).returncode


def checkout() -> Path:
    """The top of the source checkout. Raises CladError in an installation without one, which has no tests."""
    for root in (Path(clad.__file__).resolve().parents[3], Path.cwd()):
        if (root / "src" / "clad" / "package.xml").is_file():
            return root
    raise CladError("there are no tests in an installed copy", "Run this in a checkout of the repository")


def environment(base: os._Environ | dict[str, str]) -> dict[str, str]:
    """The environment for a test run: `base`, with an own ROS domain on loopback and one thread a library.

    The domain comes from this process's id, so that two runs on one machine don't hear each other; domains up to 101
    are free of clashes with Linux's ephemeral ports.
    """
    return {
        **base,
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "LP_NUM_THREADS": "1",
    }
