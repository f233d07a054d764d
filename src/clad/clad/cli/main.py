"""`clad COMMAND …`: find the command's module, parse, run, and turn errors into one line and an exit code.

Exit 0: the work was done (an episode that failed is a result, not an error). 2: bad usage. 1: anything else.
130: interrupted. Commands import torch, LIBERO and ONNX Runtime inside `run`, so that help is instant.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import traceback
from types import ModuleType
from typing import NoReturn

from clad import __version__
from clad.errors import CladError, UsageError, unknown_name

# command -> module, in the order in which a new user meets them
COMMANDS = {
    "sim": "clad.cli.sim",
    "robot": "clad.cli.robot",
    "watch": "clad.cli.watch",
    "campaign": "clad.cli.campaign",
    "eval": "clad.cli.eval",
    "info": "clad.cli.info",
    "demos": "clad.cli.demos",
    "data": "clad.cli.data",
    "encode": "clad.cli.encode",
    "train": "clad.cli.train",
    "export": "clad.cli.export",
    "bench": "clad.cli.bench",
    "study": "clad.cli.study",
    "bag": "clad.cli.bag",
    "figure": "clad.cli.figure",
    "faults": "clad.cli.faults",
    "doctor": "clad.cli.doctor",
    "test": "clad.cli.test",
}

DESCRIPTION = "CLaD: planning with grounded latent foresight, from demonstrations to a moving arm."

EPILOG = """\
examples:
  clad sim                            a trained model solves a LIBERO task through ROS 2; bag, video and result in runs/
  clad sim --episodes 10 --view       ten evaluation states, with a window
  clad eval --episodes 50             the same model and protocol in this process, without ROS
  clad doctor                         what works on this machine, and what to do about the rest
  clad COMMAND --help                 all options of a command, with examples

exit codes: 0 the work was done (a failed episode is a result), 2 bad usage, 1 anything else, 130 interrupted
"""


def available() -> dict[str, ModuleType]:
    """The commands whose modules exist in this installation, imported."""
    return {
        name: importlib.import_module(module) for name, module in COMMANDS.items() if importlib.util.find_spec(module)
    }


def overview() -> str:
    """The text of `clad --help`."""
    commands = available()
    width = max(len(name) for name in commands) + 2
    rows = "\n".join(f"  {name:<{width}}{module.HELP}" for name, module in commands.items())
    return f"usage: clad COMMAND [options]\n\n{DESCRIPTION}\n\ncommands:\n{rows}\n\n{EPILOG}"


def module_of(command: str) -> ModuleType:
    """The module of one command. Raises UsageError for a command that does not exist, naming the nearest ones."""
    if command not in COMMANDS or importlib.util.find_spec(COMMANDS[command]) is None:
        raise unknown_name("command", command, available())
    return importlib.import_module(COMMANDS[command])


class _Parser(argparse.ArgumentParser):
    """Bad usage in one line; the help, which has all options, is a command away."""

    def error(self, message: str) -> NoReturn:
        self.exit(UsageError.exit_code, f"clad: {message}. See {self.prog} --help\n")


def parse(command: str, module: ModuleType, argv: list[str]) -> argparse.Namespace:
    """The command's arguments. EXAMPLES, where the module has some, close its help.

    A module with PASS_THROUGH gets what it did not declare as `args.rest`; for all others that is bad usage.
    """
    examples = getattr(module, "EXAMPLES", "")
    parser = _Parser(
        prog=f"clad {command}",
        description=module.HELP[:1].upper() + module.HELP[1:] + ".",
        epilog=f"examples:\n{examples.rstrip()}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    if not getattr(module, "PASS_THROUGH", False):
        return parser.parse_args(argv)
    args, args.rest = parser.parse_known_args(argv)
    return args


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; argparse's own exits (help, usage) become codes too."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if not argv or argv[0] in ("-h", "--help", "help"):
            print(overview(), end="")
            return 0
        if argv[0] == "--version":
            print(f"clad {__version__}")
            return 0
        module = module_of(argv[0])
        return module.run(parse(argv[0], module, argv[1:]))
    except SystemExit as stop:  # argparse has printed its message already
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except KeyboardInterrupt:
        print("clad: interrupted", file=sys.stderr)
        return 130
    except CladError as error:
        print(f"clad: {_one_line(error)}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output went away, e.g. `clad info | head`
        sys.stdout = None
        return 1
    except OSError as error:  # a full disk, a directory that may not be written: the message names the path
        print(f"clad: {_one_line(error)}", file=sys.stderr)
        return 1
    except Exception as error:
        traceback.print_exc()
        what = f"{type(error).__name__}: {_one_line(error)}"
        print(f"clad: fault in clad itself ({what}). Report it with the lines above", file=sys.stderr)
        return 1


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
