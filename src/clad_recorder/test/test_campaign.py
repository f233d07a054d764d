"""`clad campaign` on the loopback robot: an operator at a terminal, and a kill that loses and repeats nothing."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from clad.eval.result import read_result
from clad_interfaces.msg import EpisodeStatus
from clad_recorder.bag import is_complete

pytestmark = pytest.mark.timeout(600)
TIMEOUT = 200.0  # s: a shared machine may be slow to start a graph


class Campaign:
    """The command in a process of its own, at a terminal where somebody can type."""

    def __init__(self, file: Path, out: Path) -> None:
        self._keyboard, terminal = pty.openpty()
        environment = {k: v for k, v in os.environ.items() if k != "ROS_DOMAIN_ID"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clad", "campaign", str(file), "--out", str(out)],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        os.close(terminal)
        self.said = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.said += line.decode(errors="replace")

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert self.process.poll() is None and time.monotonic() < deadline, f"no {what}:\n{self.said}"
            time.sleep(0.05)  # between looks at a condition

    def answer(self, question: str, nth: int, text: str) -> None:
        """Type once a question was put for the n-th time."""
        self.wait(lambda: self.said.count(question) >= nth, f"question {nth}: {question}")
        os.write(self._keyboard, text.encode() + b"\n")

    def end(self) -> int:
        try:
            code = self.process.wait(TIMEOUT)
        finally:
            self.process.kill()  # its nodes die with it
            self._reader.join()
            os.close(self._keyboard)
        return code


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    from tiny_bundle import write_tiny_models

    return write_tiny_models(tmp_path_factory.mktemp("models"), robot="fake")


@pytest.fixture
def file(tmp_path, model) -> Callable[..., Path]:
    def write(**keys) -> Path:
        body = {"robot": "loopback", "model": str(model), "instruction": "put the book in", **keys}
        path = tmp_path / "test.yaml"
        path.write_text(yaml.safe_dump(body))
        return path

    return write


def entries(out: Path) -> list[dict]:
    return json.loads((out / "manifest.json").read_text())["episodes"]


def messages(bag: Path, topic: str) -> list:
    """Read by somebody else's reader."""
    (file,) = bag.glob("*.mcap")
    with file.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        return [message for _, _, _, message in reader.iter_decoded_messages(topics=[topic])]


def published(bag: Path, topic: str) -> dict[int, float]:
    """A message's number -> s of wall time at which it was sent."""
    (file,) = bag.glob("*.mcap")
    with file.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        found = reader.iter_decoded_messages(topics=[topic])
        return {message.seq: record.publish_time / 1e9 for _, _, record, message in found}


def metadata(bag: Path) -> dict[str, str]:
    (file,) = bag.glob("*.mcap")
    with file.open("rb") as stream:
        return next(record.metadata for record in make_reader(stream).iter_metadata() if record.name == "clad")


def outcome(bag: Path) -> tuple[int, str]:
    """The bag's last word on its episode; it may begin with that on the episode before."""
    told = messages(bag, "/episode")
    last = [m for m in told if m.episode == told[-1].episode][-1]
    return last.phase, last.reason


def test_the_operator_is_asked_and_the_answers_are_in_bag_and_manifest(file, tmp_path):
    out, reset, ask = tmp_path / "out", "press Enter", "How does it end?"
    campaign = Campaign(file(init="0-4", max_steps=2000, reset="operator", outcome="operator"), out)
    try:
        campaign.answer(reset, 1, "what?")  # no answer: asked again
        campaign.answer(reset, 2, "")
        campaign.answer(ask, 1, "maybe")
        campaign.answer(ask, 2, "y")
        campaign.answer(reset, 3, "s")
        campaign.answer(reset, 4, "")
        campaign.answer(ask, 3, "a somebody walked in")
        campaign.answer(reset, 5, "")  # the same scene once more
        campaign.answer(ask, 4, "n it slipped")
        campaign.answer(reset, 6, "q")
    finally:
        code = campaign.end()
    assert code == 130, campaign.said
    told = [(e["init_index"], e["outcome"], e["reason"], e["judged_by"]) for e in entries(out)]
    assert told == [
        (0, "success", "", "operator"),
        (2, "aborted", "somebody walked in", ""),
        (2, "timeout", "it slipped", "operator"),
    ]
    assert [outcome(out / e["bag"]) for e in entries(out)] == [
        (EpisodeStatus.SUCCESS, ""),
        (EpisodeStatus.ABORTED, "somebody walked in"),
        (EpisodeStatus.TIMEOUT, "it slipped"),
    ]
    said = metadata(out / entries(out)[0]["bag"])
    assert (said["campaign"], said["condition"], said["repeat"]) == ("test", "tiny-hold-0ms", "1")
    assert (said["execution"], said["delay_ms"], said["model"]) == ("hold", "0.0", "tiny")
    result = read_result(out / "tiny-hold-0ms" / "result.json")  # what does not count is not in it
    assert [(r.init_index, r.success) for r in result.episodes] == [(0, True), (2, False)]
    assert campaign.said.splitlines()[-2].split()[1:3] == ["2", "1/2"]


@pytest.mark.slow
def test_the_last_word_is_the_operators_after_the_step_limit_too(file, tmp_path):
    out = tmp_path / "out"
    campaign = Campaign(file(init=3, max_steps=80, delay_ms=50, outcome="operator"), out)
    try:
        campaign.wait(lambda: "How does it end?" in campaign.said, "question")
        (bag,) = (out / "tiny-hold-50ms" / "bags").iterdir()
        # the arm stops at the limit by itself; nobody hurries the person beside it
        campaign.wait(lambda: _ended(bag), "end at the limit")
        campaign.answer("How does it end?", 1, "y it was in")
    finally:
        code = campaign.end()
    assert code == 0, campaign.said
    (entry,) = entries(out)
    assert (entry["outcome"], entry["reason"]) == ("success", "it was in")
    phases = [m.phase for m in messages(out / entry["bag"], "/episode")]
    assert phases == [EpisodeStatus.RUNNING, EpisodeStatus.TIMEOUT, EpisodeStatus.SUCCESS]
    # chunks came through the relay: each is in the bag twice, the second time 50 ms after the first
    prompt, late = (published(out / entry["bag"], topic) for topic in ("/action_chunk_prompt", "/action_chunk"))
    assert late and all(0.05 <= stamp - prompt[seq] < 5.0 for seq, stamp in late.items())
    assert read_result(out / "tiny-hold-50ms" / "result.json").perturbations == {"delay": 0.05}


def _ended(bag: Path) -> bool:
    from clad.bag.reader import read_messages  # it is being written: the independent reader wants an index

    return any(m.message.phase == EpisodeStatus.TIMEOUT for m in read_messages(bag, ["/episode"]))


@pytest.mark.slow
def test_a_killed_campaign_goes_on_and_loses_and_repeats_nothing(file, tmp_path):
    out, path = tmp_path / "out", file(init="0-2", max_steps=60)
    bags = out / "tiny-hold-0ms" / "bags"
    first = Campaign(path, out)
    try:
        second = bags / "fake-0-1-1"
        first.wait(
            lambda: second.is_dir() and sum(f.stat().st_size for f in second.iterdir()) > 30_000, "second episode"
        )
        family = psutil.Process(first.process.pid).children(recursive=True)
        before = entries(out)
        first.process.send_signal(signal.SIGKILL)
    finally:
        code = first.end()
    assert code == -signal.SIGKILL, first.said
    assert [(e["init_index"], e["outcome"]) for e in before] == [(0, "timeout")]
    psutil.wait_procs(family, 30.0)
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    (out / "tiny-hold-0ms" / "result.json").unlink()  # as if the kill had come before it was written

    again = Campaign(path, out)
    code = again.end()
    assert code == 0, again.said
    after = entries(out)
    assert after[0] == before[0]
    told = [(e["init_index"], e["outcome"]) for e in after]
    assert told == [(0, "timeout"), (1, "interrupted"), (1, "timeout"), (2, "timeout")]
    assert sorted(e["bag"] for e in after) == sorted(str(b.relative_to(out)) for b in bags.iterdir())
    for entry in after:
        bag = out / entry["bag"]
        (mcap,) = bag.glob("*.mcap")
        assert is_complete(bag) and messages(bag, "/episode")
        assert hashlib.sha256(mcap.read_bytes()).hexdigest() == entry["bag_sha256"]
    rows = read_result(out / "tiny-hold-0ms" / "result.json").episodes
    assert [(r.init_index, r.bag) for r in rows] == [
        (0, "bags/fake-0-0-0"),
        (1, "bags/fake-0-1-1-2"),
        (2, "bags/fake-0-2-2"),
    ]

    third = Campaign(path, out)  # nothing is left to do: no graph is started
    assert third.end() == 0 and entries(out) == after, third.said
    assert "tiny-hold-0ms  3" in third.said
