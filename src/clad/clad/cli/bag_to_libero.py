"""`clad bag to-libero`: recorded episodes as LIBERO HDF5 files, one a task."""

from __future__ import annotations

import argparse

from clad.cli import bag_convert

HELP = "make LIBERO HDF5 files, one a task, of recorded episodes, contract and outcomes included"
EXAMPLES = """\
  clad bag to-libero runs/x/bags --out data/hdf5
  clad bag to-libero runs/x/bags --out data/hdf5 --only success        failed episodes are left out, not marked
  clad bag to-libero teleop --out data/hdf5 --instruction 'stack the cups' --outcome success
  clad encode --demos data/hdf5                                      and from there into training

which steps are worth imitating, corrections included: docs/bags.md
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    bag_convert.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    return bag_convert.convert_bags(args, "libero")
