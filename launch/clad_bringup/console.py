"""What a person at a terminal sees of a running graph, and the log that keeps the rest."""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path
from types import TracebackType

from clad_bringup.supervisor import LOG_LINE

_ALARMS = ("WARN", "ERROR", "FATAL")


class Console:
    """`show` for `run_graph`: the speaker's lines as they are on stdout, what other nodes report on stderr by name.

    Not shown are last words, which begin with the node's name and which the supervisor quotes, and alarms before the
    speaker's first line, when nodes still wait for each other. Every line goes to the file `log`, with the node's name.
    """

    def __init__(self, log: Path, speaker: str) -> None:
        self._speaker, self._started, self._lock = speaker, False, threading.Lock()
        self._log = log.open("a", buffering=1)

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._log.close()

    def __call__(self, node: str, line: str) -> None:
        """One line that a node has written; called from the supervisor's threads."""
        with self._lock:
            with contextlib.suppress(OSError):  # a full disk must not silence the terminal
                self._log.write(f"[{node}] {line}\n")
            report = LOG_LINE.match(line)
            if node == self._speaker and report is None:
                self._started = True
                if not line.startswith(f"{node}: "):
                    print(line, flush=True)
            elif report is not None and (report["level"] == "INFO" or report["level"] in _ALARMS and self._started):
                level = "" if report["level"] == "INFO" else f"{report['level'].lower()}: "
                print(f"[{node}] {level}{report['text']}", file=sys.stderr, flush=True)
