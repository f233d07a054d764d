"""Where a command's results go: chosen and tried before anything that takes time."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from clad.errors import CladError, UsageError

RESULT = "result.json"


def new_folder(command: str) -> str:
    """Where a run's results go when nobody says so."""
    return f"runs/{command}-{datetime.now():%Y%m%d-%H%M%S}"


def results_folder(command: str, *, out: str | None, resume: bool, json: str | None) -> Path:
    """The folder of a run, absolute, made if it is not there; `runs/COMMAND-DATE-TIME` when `out` is None.

    Raises UsageError if it holds a result that `resume` does not allow to go on with, or for `resume` without `out`;
    CladError if the folder, or the one for the file `json`, cannot be written to.
    """
    if resume and out is None:
        raise UsageError("--resume needs the --out of the run to go on with", "Add --out DIR")
    folder = Path(out or new_folder(command)).absolute()
    if (folder / RESULT).exists() and not resume:
        raise UsageError(f"{folder / RESULT} exists already", "Add --resume to go on with it, or give another --out")
    make_writable(folder, "--out")
    check_json(json)
    return folder


def check_json(json: str | None) -> None:
    """Raises UsageError if `json` is not a file's name, CladError if it cannot be written; its folder is made."""
    if json is None:
        return
    if not json or Path(json).is_dir():
        raise UsageError(f"--json '{json}' is no file's name", "Give e.g. --json result.json")
    make_writable(Path(json).absolute().parent, "--json")


def make_writable(folder: Path, option: str) -> None:
    """Make the folder if need be. Raises CladError naming the option if files cannot be made in it."""
    probe = folder / f".clad-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CladError(
            f"{folder} cannot be written to: {error.strerror}", f"Give another {option}, or mend that"
        ) from error
