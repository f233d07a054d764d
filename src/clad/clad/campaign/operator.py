"""Whoever stands beside the arm: asked to reset the scene, and for how an episode ended."""

from __future__ import annotations

import os
import select
import sys
import termios
from typing import IO

from clad.errors import CladError, UsageError

GO, SKIP, QUIT = "go", "skip", "quit"
RESET = "Put the scene into its start state and press Enter; s to skip this episode, q to stop and keep what is done"
OUTCOME = "How does it end? y: success, n: it failed, a: it does not count; a reason may follow, then Enter"
# answer -> outcome of an episode, and the reason where none is given
OUTCOMES = {
    "y": ("success", ""),
    "n": ("timeout", "given up by the operator"),
    "a": ("aborted", "aborted by the operator"),
}


def reset_answer(line: str) -> str | None:
    """What the answer to RESET means: GO, SKIP or QUIT; None for anything else."""
    return {"": GO, "s": SKIP, "q": QUIT}.get(line.strip().lower())


def outcome_answer(line: str) -> tuple[str, str] | None:
    """(outcome, reason) of an answer to OUTCOME such as 'n it slipped'; None for anything else."""
    letter, _, reason = line.strip().partition(" ")
    if letter.lower() not in OUTCOMES:
        return None
    outcome, default = OUTCOMES[letter.lower()]
    return outcome, reason.strip() or default


class Operator:
    """A terminal that is never waited for: an arm may be moving meanwhile."""

    def __init__(self, terminal: IO = sys.stdin) -> None:
        """Raises UsageError when nobody can answer there."""
        if not terminal.isatty():
            raise UsageError(
                "this campaign asks an operator, and there is no terminal to ask at",
                "Run it in a terminal, or set reset and outcome to automatic",
            )
        self._fd, self._typed = terminal.fileno(), b""

    def ask(self, question: str) -> None:
        """Put a question. What was typed before it answers nothing: an Enter too many must not move the arm."""
        termios.tcflush(self._fd, termios.TCIFLUSH)
        self._typed = b""
        print(question, file=sys.stderr, flush=True)

    def line(self) -> str | None:
        """A whole line if one was typed, without its end. Raises CladError when the terminal is gone."""
        if b"\n" not in self._typed and select.select([self._fd], [], [], 0.0)[0]:
            try:
                more = os.read(self._fd, 4096)
            except OSError:  # a terminal that was closed
                more = b""
            if not more:
                raise CladError("the operator's terminal was closed", "The same command goes on in a new one")
            self._typed += more
        line, end, rest = self._typed.partition(b"\n")
        if not end:
            return None
        self._typed = rest
        return line.decode(errors="replace")
