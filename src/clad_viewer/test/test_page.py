"""The page of a real graph in a real browser that has no network: it has pixels, and asked for nothing elsewhere."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
from browser import browser
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LOADED = 180.0  # s; a software rasteriser on a busy machine takes its time
COLOURS = 200  # kinds of pixels: an empty viewer has a few dozen, with two camera pictures there are thousands

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium"),
    pytest.mark.skipif(importlib.util.find_spec("rerun") is None, reason="rerun-sdk is not installed"),
]


@pytest.fixture
def page(tmp_path):
    """The address of the page beside `clad robot --watch` on the fake arm."""
    command = [sys.executable, "-m", "clad", "robot", "--watch", "--episodes", "50", "--out", str(tmp_path / "run")]
    log = tmp_path / "said"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True, env={**os.environ}
        )
    try:
        yield wait_for_address(process, log)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for_address(process: subprocess.Popen, log: Path) -> str:
    end = time.monotonic() + LOADED
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+/", log.read_text()):
            return found[0]
        time.sleep(0.2)
    raise AssertionError(f"no page:\n{log.read_text()}")


def colours(png: bytes, left: float = 0.0, right: float = 1.0, top: float = 0.0, bottom: float = 1.0) -> int:
    """Kinds of pixels in a part of the picture."""
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    height, width = image.shape[:2]
    part = image[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
    return len(np.unique(part.reshape(-1, 3), axis=0))


def test_the_page_shows_the_graph_without_a_network(page, tmp_path):
    with browser(CHROMIUM, 1280, 800) as chromium:
        chromium.open(page)
        end = time.monotonic() + LOADED
        while True:
            time.sleep(2.0)
            picture = chromium.screenshot()
            (tmp_path / "page.png").write_bytes(picture)  # for whoever wants to look
            cameras, middle = colours(picture, right=0.3, bottom=0.4), colours(picture, left=0.3, right=0.7)
            if cameras > COLOURS and middle > COLOURS // 4:
                break
            if time.monotonic() > end:
                raise AssertionError(f"{cameras} and {middle} colours; see {tmp_path / 'page.png'}")
        loaded = {url for url, why in chromium.requests.items() if not why and url.startswith("http")}
        assert {urlparse(url).hostname for url in loaded} == {"127.0.0.1"}
        outside = {url: why for url, why in chromium.requests.items() if "127.0.0.1" not in url and "http" in url}
        assert set(outside.values()) <= {"csp"}  # refused before it was asked for
