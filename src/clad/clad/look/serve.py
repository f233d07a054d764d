"""The page: Rerun's data server and web viewer, on this machine's loopback only, loading nothing from anywhere else."""

from __future__ import annotations

import http.client
import importlib.util
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from clad.errors import CladError

HERE = "127.0.0.1"
PAGE_PORT, DATA_PORT = 9090, 9876  # what Rerun takes by default; if taken, others
MEMORY = "512MB"  # of data kept for browsers that come later; then the oldest goes
READY = 20.0  # s
REMEDY = "Run it as ./clad, which installs it, or: pip install -r requirements/look.txt -c requirements/constraints.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """url: for a browser. data: where a Rerun recording is sent to."""

    url: str
    data: str


def require_rerun() -> None:
    """Raises CladError naming the remedy where Rerun is not installed."""
    if importlib.util.find_spec("rerun") is None:
        raise CladError("the live page needs rerun-sdk", REMEDY)


@contextmanager
def open_page(page_port: int = PAGE_PORT, data_port: int = DATA_PORT) -> Iterator[Page]:
    """The page is there within. A port that is taken is replaced by a free one.

    Rerun's viewer asks for fonts and sends usage data elsewhere; the page is handed on with a content security policy that
    lets it speak to this machine alone, so that it loads and behaves the same with a network and without.
    Raises CladError when Rerun is not installed or does not start.
    """
    require_rerun()
    import rerun_cli

    data_port, inner_port = _free(data_port), _free(0)
    command = [str(Path(rerun_cli.__file__).parent / "rerun"), "--serve-web", "--bind", HERE, "--hide-welcome-screen"]
    command += ["--port", str(data_port), "--web-viewer-port", str(inner_port), "--server-memory-limit", MEMORY]
    # a session of its own: Ctrl-C is for who opened the page, which then closes it in order
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        for port in (data_port, inner_port):
            _wait_for(server, port)
        threading.Thread(target=server.stderr.read, daemon=True).start()  # a full pipe would stop it
        with _handed_on(_free(page_port), inner_port, data_port) as port:
            yield Page(url=f"http://{HERE}:{port}/", data=f"rerun+http://{HERE}:{data_port}/proxy")
    finally:
        server.terminate()
        try:
            server.wait(5.0)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextmanager
def _handed_on(port: int, inner_port: int, data_port: int) -> Iterator[int]:
    """Rerun's files from `inner_port` at `port`, where / is the viewer with our data opened."""
    policy = (
        "default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
        f"connect-src 'self' data: blob: http://{HERE}:{data_port}"
    )
    start = f"/?url=rerun%2Bhttp%3A%2F%2F{HERE}%3A{data_port}%2Fproxy"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                self.send_response(302)
                self.send_header("Location", start)
                self.end_headers()
                return
            inner = http.client.HTTPConnection(HERE, inner_port, timeout=READY)
            try:
                inner.request("GET", self.path)
                response = inner.getresponse()
                body = (
                    response.read()
                )  # whole, at most the viewer's 43 MB: a length lets a browser tell what was cut off
                self.send_response(response.status)
                self.send_header("Content-Length", str(len(body)))
                for name in ("Content-Type", "rerun-final-length"):
                    if value := response.getheader(name):
                        self.send_header(name, value)
                self.send_header("Content-Security-Policy", policy)
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):  # the browser was closed
                pass
            except OSError:
                self.send_error(502, "Rerun does not answer")
            finally:
                inner.close()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HERE, port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield port
        finally:
            server.shutdown()


def _free(port: int) -> int:
    """`port`, or another one when it is taken; 0: any."""
    for wanted in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HERE, wanted))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise CladError(f"no port is free on {HERE}", "End what holds them")


def _wait_for(server: subprocess.Popen, port: int) -> None:
    end = time.monotonic() + READY
    while time.monotonic() < end:
        if server.poll() is not None:
            said = server.stderr.read().strip().splitlines()
            raise CladError(f"Rerun's server ended: {said[-1] if said else server.returncode}", REMEDY)
        with socket.socket() as probe:
            if probe.connect_ex((HERE, port)) == 0:
                return
        time.sleep(0.05)
    raise CladError(f"Rerun's server does not answer within {READY:.0f} s", "Try again on a machine that is less busy")
