"""Start a graph's nodes as processes and see that all of them end: the launcher for machines without ROS's `launch`.

`run_graph` starts what `clad_bringup.graph` describes, as `ros2 run` would. Whatever ends it (the runner's work, a
signal, a fault), no process is left behind, not even when the supervisor itself is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from clad.errors import CladError, UsageError
from clad_bringup.graph import NodeSpec

GRACE = 15.0  # s that a node has to end after it was asked to: an episode's video is written then
POLL = 0.05  # s
# what rclpy's loggers write
LOG_LINE = re.compile(r"^\[(?P<level>DEBUG|INFO|WARN|ERROR|FATAL)\] \[[\d.]+\] \[[^\]]*\]: (?P<text>.*)$")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def run_graph(
    specs: list[NodeSpec],
    *,
    show: Callable[[str, str], None] | None = None,
    grace: float = GRACE,
    until: Callable[[], bool] | None = None,
) -> int:
    """Run the graph to its end; returns 0 when the node that ends it has ended well, 128 + n after signal n.

    show: called with (node, line) for each line that a node writes; default: print it with the node's name.
    grace: seconds each node has to end, newest first, before it is killed. A second signal kills at once.
    until: asked again and again once all nodes were started; its True ends the graph well.
    Raises CladError naming the node that failed and its last words (UsageError if it exited with 2).
    """
    show = show or _print_line
    processes: list[_Process] = []
    with tempfile.TemporaryDirectory(prefix="clad-") as folder, _caught_signals() as signals:
        try:
            # every fork before the first reader thread: a fork among threads may inherit a lock that nobody releases
            for spec in specs:
                processes.append(_Process(spec, Path(folder)))
            for process in processes:
                process.follow(show)
            ended = _wait_for_an_end(processes, signals, until or (lambda: False))
        finally:
            for process in reversed(processes):
                process.stop(grace, signals)
    if ended is None:
        return 128 + signals[0] if signals else 0
    return ended.verdict()


class _Process:
    """One node's process, in a process group of its own so that Ctrl-C reaches it through the supervisor, in order."""

    def __init__(self, spec: NodeSpec, folder: Path) -> None:
        self.spec = spec
        self._last = self._last_error = ""
        self._reader: threading.Thread | None = None
        self._popen = subprocess.Popen(
            command(spec, folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1", **spec.environment},
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def follow(self, show: Callable[[str, str], None]) -> None:
        """Hand on each line that the process writes, from a thread."""
        self._reader = threading.Thread(target=self._read, args=(show,), daemon=True)
        self._reader.start()

    def _read(self, show: Callable[[str, str], None]) -> None:
        with self._popen.stdout as stream:
            for line in filter(None, map(str.rstrip, stream)):
                self._note(line)
                with contextlib.suppress(OSError):  # nobody reads our output any more; the node must not block on that
                    show(self.spec.name, line)

    def _note(self, line: str) -> None:
        log = LOG_LINE.match(line)
        if log is None:
            self._last = line
        elif log["level"] in ("ERROR", "FATAL"):
            self._last_error = self._last = log["text"]
        else:
            self._last = ""

    def has_ended(self) -> bool:
        if self._popen.poll() is None:
            return False
        with contextlib.suppress(ProcessLookupError):  # what the node itself has started and left
            os.killpg(self._popen.pid, signal.SIGKILL)
        return True

    def stop(self, grace: float, signals: list[int]) -> None:
        """Ask the process to end; after `grace` seconds, or at a second signal, kill it and its children.

        A node that has not come as far as rclpy.init, which catches SIGTERM, has nothing to put in order: SIGTERM ends it
        without the traceback that SIGINT would cause in the middle of its imports.
        """
        if not self.has_ended():
            self._popen.send_signal(signal.SIGINT if _catches(self._popen.pid, signal.SIGTERM) else signal.SIGTERM)
            deadline = time.monotonic() + grace
            while not self.has_ended() and time.monotonic() < deadline and len(signals) < 2:
                time.sleep(POLL)
            if not self.has_ended():
                os.killpg(self._popen.pid, signal.SIGKILL)
                self._popen.wait()
        if self._reader is not None:
            self._reader.join(timeout=2.0)

    def verdict(self) -> int:
        """0 if this process ended as it should. Raises CladError with its last words otherwise."""
        code = self._popen.returncode
        if code == 0 and self.spec.ends_graph:
            return 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"stopped with exit code {code}"
        words = (self._last or self._last_error).removeprefix(f"{self.spec.name}: ").removeprefix("clad: ")
        if code == 2:
            raise UsageError(words or f"node {self.spec.name} {how}")
        if code > 0 and words and self.spec.ends_graph:  # it speaks for the whole graph
            raise CladError(words)
        raise CladError(f"node {self.spec.name} {how}{': ' if words else ''}{words}")


def command(spec: NodeSpec, folder: Path) -> list[str]:
    """The command line of a node; its parameters go into a YAML file in `folder`. Raises CladError if it isn't built."""
    try:
        executable = Path(get_package_prefix(spec.package)) / "lib" / spec.package / spec.executable
    except PackageNotFoundError:
        raise CladError(
            f"package {spec.package} is not installed", "Build the workspace and source it, or use ./clad"
        ) from None
    if not executable.is_file():
        raise CladError(f"package {spec.package} has no executable {spec.executable}", "Build the workspace again")
    parameters = folder / f"{spec.name}.yaml"
    parameters.write_text(yaml.safe_dump({f"/{spec.name}": {"ros__parameters": spec.parameters}}))
    remaps = [part for old, new in spec.remappings for part in ("-r", f"{old}:={new}")]
    return [
        *(str(executable), "--ros-args", "-r", f"__node:={spec.name}"),
        *("--params-file", str(parameters)),
        *remaps,
        *(("--enclave", spec.enclave) if spec.enclave else ()),
    ]


def _wait_for_an_end(processes: list[_Process], signals: list[int], until: Callable[[], bool]) -> _Process | None:
    """The first process that ends, or None when a signal or `until` comes first."""
    while not signals and not until():
        for process in processes:
            if process.has_ended():
                return process
        time.sleep(POLL)
    return None


@contextlib.contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """Within, the signals that would end this process are noted in the list instead."""
    caught: list[int] = []
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda n, _: caught.append(n)) for number in ending}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def _die_with_parent() -> None:
    """In the child: be interrupted when the supervisor dies, however it dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


_print_lock = threading.Lock()


def _print_line(node: str, line: str) -> None:
    with _print_lock:
        print(f"[{node}] {line}", file=sys.stdout, flush=True)
