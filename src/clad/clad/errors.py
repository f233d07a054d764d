"""The two errors that a user sees: one line that says what is wrong and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CladError(Exception):
    """The work could not be done. The command line prints the message as one line and exits 1.

    `message` says what is wrong, `remedy` what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class UsageError(CladError):
    """The request itself is wrong (unknown name, impossible combination): exit code 2."""

    exit_code = 2


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UsageError:
    """The error for a name that does not exist: the nearest names first, then all the valid ones."""
    valid = sorted(valid)
    near = difflib.get_close_matches(name, valid, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return UsageError(f"unknown {kind} '{name}'", f"{hint}Valid: {', '.join(valid) or 'none'}")
