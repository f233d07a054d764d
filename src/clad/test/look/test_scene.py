"""A recording drawn into a Rerun file and read back: every signal is there, at its ROS time, with its value."""

from __future__ import annotations

import http.client
import importlib.util
import socket
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from tiny_bag import CONTRACT, LOOK, PERIOD, START, STEPS, data, messages, write_bag

from clad.bag.kept import Foreseen
from clad.bag.metrics import EpisodeMeter
from clad.cli.main import main
from clad.contract import native_to_wire
from clad.look.errors import RunningErrors

pytest.importorskip("rerun")


def rows(file: Path, entity: str, component: str = "") -> tuple[np.ndarray, list]:
    """ROS times (s) and values of one entity's only component, or of the one named, by Rerun's own reader."""
    from rerun.chunk import RrdReader

    times, values = [], []
    for chunk in RrdReader(file).stream().to_chunks():
        if chunk.entity_path.lstrip("/") != entity or chunk.is_static:
            continue
        batch = chunk.to_record_batch()
        names = [n for n in batch.schema.names if ":" in n and n.endswith(component)]
        times += [t.total_seconds() if hasattr(t, "total_seconds") else t for t in batch.column("ros_time").to_pylist()]
        values += batch.column(names[0]).to_pylist()
    order = np.argsort(times, kind="stable")
    return np.array(times)[order], [values[i] for i in order]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    d = data(seed=4)
    bag = write_bag(folder / "bag", messages(d, holds={2, 3}))
    assert main(["watch", str(bag), "--no-page", "--save", str(folder / "bag.rrd")]) == 0
    return d, folder / "bag.rrd"


def test_actions_are_drawn_in_si_units_at_their_time(drawn):
    d, file = drawn
    wire = native_to_wire(d.actions, CONTRACT.action)
    for i, name in enumerate(CONTRACT.action.names):
        times, values = rows(file, f"action/{name}/executed")
        assert times == pytest.approx((START + PERIOD * np.arange(STEPS)) * 1e-9)
        assert [v[0] for v in values] == pytest.approx(wire[:, i])


def test_every_camera_every_state_and_the_words_are_there(drawn):
    _, file = drawn
    looks = [t for t in range(STEPS + 1) if t % LOOK == 0 or t == STEPS]
    for camera in CONTRACT.cameras:
        times, _ = rows(file, f"camera/{camera}")
        assert times == pytest.approx([(START + PERIOD * t) * 1e-9 for t in looks])
    times, states = rows(file, "state/control")
    assert [s[0] for s in states] == ["moving", "holding", "moving"]
    assert times == pytest.approx([(START + PERIOD * t) * 1e-9 for t in (0, 2, 4)])
    assert [s[0] for s in rows(file, "state/episode")[1]] == ["running", "success"]
    assert "success 1/1" in rows(file, "status", ":text")[1][-1][0]


def test_foresight_errors_are_those_of_the_meter():
    rng = np.random.default_rng(0)
    period = round(CONTRACT.control_period * 1e9)
    running, meter = RunningErrors(period // 2), EpisodeMeter(CONTRACT, 1)
    found: dict[str, list[float]] = {}
    for k in range(40):
        stamp = START + k * period * 3 + int(rng.integers(-period // 5, period // 5))
        message = foresight(k, stamp, 6 * period, rng)
        meter.feed("/latent_foresight", k, message)
        for name, error in running.feed(Foreseen.of(k, message)).items():
            found.setdefault(name, []).append(error)
        assert running.feed(Foreseen.of(k, message)) == {}  # planned on again
    expected = meter.series().foresight
    assert set(found) == set(expected) - {"time"} and len(found["cosine"]) > 20
    for name, errors in found.items():
        assert errors == expected[name].tolist(), name


def foresight(seq: int, stamp: int, horizon: int, rng):
    from types import SimpleNamespace

    def time(ns: int):
        return SimpleNamespace(sec=ns // 10**9, nanosec=ns % 10**9)

    return SimpleNamespace(
        header=SimpleNamespace(stamp=time(stamp)),
        **dict(seq=seq, episode=1, horizon=time(horizon), model_id="m", encode_latency=time(1), plan_latency=time(2)),
        **{n: rng.normal(size=8) for n in ("semantic_embedding", "semantic_predicted")},
        **{n: rng.normal(size=23) for n in ("proprio_predicted", "proprio_measured")},
    )


def test_the_page_is_rerun_s_and_may_speak_to_this_machine_only():
    from clad.look.serve import open_page

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with open_page(taken.getsockname()[1], 0) as page:  # goes to another port
            with urllib.request.urlopen(page.url, timeout=20) as response:
                policy, body = response.headers["Content-Security-Policy"], response.read().decode()
                assert "url=rerun" in response.url  # our data opened
            assert "Rerun" in body and "default-src 'none'" in policy
            allowed = {word for word in policy.split() if "//" in word}
            assert allowed == {page.data.removeprefix("rerun+").removesuffix("/proxy")}
            host = page.url.split("/")[2]
            connection = http.client.HTTPConnection(host, timeout=20)
            connection.request("GET", "/re_viewer_bg.wasm")
            response = connection.getresponse()
            wasm = response.read()
            assert wasm[:4] == b"\0asm" and len(wasm) == int(response.headers["Content-Length"]) > 10**7
            port = int(page.data.split(":")[-1].split("/")[0])
            with socket.socket() as outside:  # whoever listens on every address has this one too
                assert outside.connect_ex(("127.0.0.2", port)) != 0
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(page.url, timeout=2)


def test_bad_requests_say_what_to_do(tmp_path, capsys, monkeypatch):
    bag = write_bag(tmp_path / "bag", messages(data()))
    for arguments, words in (
        (["--no-page"], "Give --save FILE.rrd"),
        (["--no-page", "--save", "x.txt"], "ends in .rrd"),
        (["--image-rate", "0"], "above 0 Hz"),
    ):
        assert main(["watch", str(bag), *arguments]) == 2
        assert words in capsys.readouterr().err
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rerun" else find(name))
    assert main(["watch", str(bag), "--no-page", "--save", "x.rrd"]) == 1
    assert "requirements/look.txt" in capsys.readouterr().err
