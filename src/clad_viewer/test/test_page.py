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


def shown(png: bytes) -> tuple[float, int]:
    """Share of the cameras' panels that is picture, and coloured pixels in the plots: 0 on a page that waits for data."""
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    height, width = image.shape[:2]
    cameras = image[: int(0.4 * height), : int(0.3 * width)]
    plots = image[:, int(0.3 * width) : int(0.7 * width)]
    return float((cameras.max(axis=2) < 235).mean()), int((np.ptp(plots, axis=2) > 60).sum())


def test_the_page_shows_the_graph_without_a_network(page, tmp_path):
    with browser(CHROMIUM, 1280, 800) as chromium:
        chromium.open(page)
        end = time.monotonic() + LOADED
        while True:
            time.sleep(2.0)
            picture = chromium.screenshot()
            (tmp_path / "page.png").write_bytes(picture)  # for whoever wants to look
            cameras, plots = shown(picture)
            if cameras > 0.3 and plots > 1000:
                break
            if time.monotonic() > end:
                raise AssertionError(f"{cameras:.0%} picture, {plots} pixels of plots; see {tmp_path / 'page.png'}")
        loaded = {url for url, why in chromium.requests.items() if not why and url.startswith("http")}
        assert {urlparse(url).hostname for url in loaded} == {"127.0.0.1"}
        outside = {url: why for url, why in chromium.requests.items() if "127.0.0.1" not in url and "http" in url}
        assert set(outside.values()) <= {"csp"}  # refused before it was asked for
