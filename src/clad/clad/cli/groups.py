"""Commands that are a group of commands: `clad bag report`, `clad bag replay`, each in a module of its own."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping


def add_group(parser: argparse.ArgumentParser, modules: Mapping[str, str]) -> None:
    """Sub-commands of `parser`, name -> module. A module has HELP, EXAMPLES, `add_arguments(parser)` and `run(args)`."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="|".join(modules))
    for name, path in modules.items():
        module = importlib.import_module(path)
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.HELP[:1].upper() + module.HELP[1:] + ".",
            epilog=f"examples:\n{module.EXAMPLES.rstrip()}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
