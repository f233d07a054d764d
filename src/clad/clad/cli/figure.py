"""`clad figure …`: pictures of what a model foresees and what it looks at. They read files and run no robot."""

from __future__ import annotations

import argparse

from clad.cli.groups import add_group

HELP = "draw what a model foresees: joints, rollouts, latent space, what it looks at"
EXAMPLES = """\
  clad figure COMMAND --help                           all options of one of them
"""
COMMANDS = {
    "gradients": "clad.cli.figure_gradients",
    "joints": "clad.cli.figure_joints",
    "rollouts": "clad.cli.figure_rollouts",
    "umap": "clad.cli.figure_umap",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_group(parser, COMMANDS)


def run(args: argparse.Namespace) -> int:
    return args.run(args)
