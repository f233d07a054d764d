"""Headless Chromium through its debugging pipe, for a screenshot of a page: standard library only."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FLAGS = (
    *(
        "--headless",
        "--no-sandbox",
        "--remote-debugging-pipe",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
    ),
    *("--ignore-gpu-blocklist", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # a machine without a network
)


class Browser:
    """One page. `requests`: every URL that it asked for, with why it got nothing ("" where it did)."""

    def __init__(self, send: Any, receive: Any) -> None:
        self._send, self._receive = send, receive
        self._buffer, self._number, self._session = b"", 0, None
        self.requests: dict[str, str] = {}
        self._urls: dict[str, str] = {}

    def open(self, url: str) -> None:
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page"):
            self._call(f"{domain}.enable")
        self._call("Page.navigate", url=url)

    def screenshot(self) -> bytes:
        """PNG of what is seen now."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def _call(self, method: str, **parameters: Any) -> dict:
        self._number += 1
        request = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            request["sessionId"] = self._session
        self._send.write(json.dumps(request).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                return message["result"]
            self._note(message.get("method"), message.get("params", {}))

    def _next(self) -> dict:
        while b"\0" not in self._buffer:
            data = self._receive.read(1 << 16)
            if not data:
                raise EOFError("Chromium has ended")
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: str | None, parameters: dict) -> None:
        if event == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            self._urls[parameters["requestId"]] = url
            self.requests.setdefault(url, "")
        elif event == "Network.loadingFailed" and parameters["requestId"] in self._urls:
            reason = parameters.get("blockedReason") or parameters.get("errorText", "")
            self.requests[self._urls[parameters["requestId"]]] = reason


@contextmanager
def browser(program: str, width: int, height: int) -> Iterator[Browser]:
    """A browser without a network; it is gone afterwards."""
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [program, *FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank"]
        # the pipe is file descriptors 3 and 4 by Chromium's convention
        shell = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"'
        process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            with os.fdopen(ours_out, "wb", 0) as send, os.fdopen(ours_in, "rb", 0) as receive:
                yield Browser(send, receive)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started
            process.wait()
