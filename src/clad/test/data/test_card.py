"""The data card: its figures against demonstrations that are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from random_episode import make_episode

from clad.cli.main import main
from clad.data.card import MOMENTS
from clad.data.libero_hdf5 import write_episode


@pytest.fixture
def demos(tmp_path):
    """Task 5: 3 demonstrations of 10, 20 and 30 steps, the first without noise; task 6: one of 8, without a log."""
    book, mug = tmp_path / "demos" / "book_demo.hdf5", tmp_path / "demos" / "mug_demo.hdf5"
    for number, steps in enumerate((10, 20, 30)):
        episode = make_episode(steps, seed=1000 + number, size=128)
        noise = np.zeros((steps, 7))
        noise[:, :6] = 0.1 * (-1.0) ** np.arange(steps)[:, None] if number else 0.0
        expert = np.clip(episode.expert, -0.8, 0.8)
        episode = replace(episode, expert=expert, executed=expert + noise, label_valid=np.arange(steps) >= steps // 2)
        write_episode(book, episode, states=None, file_attrs={})
    book.with_suffix(".json").write_text(json.dumps({"attempts_n": 4, "failures_n": 1}))
    episode = make_episode(8, seed=7, size=128)
    meta = {"suite": "libero_10", "task": 6, "visuals": "fast"}
    write_episode(mug, replace(episode, instruction="put the mug down", meta=meta), states=None, file_attrs={})
    return tmp_path / "demos"


def test_a_card_says_what_the_demonstrations_hold(demos, tmp_path, capsys):
    assert main(["data", "card", str(demos), "--out", str(tmp_path / "card")]) == 0
    page = (tmp_path / "card" / "card.md").read_text()
    assert page in capsys.readouterr().out
    assert "4 demonstrations of 2 tasks, 68 steps" in page and "](card.png)" in page
    book, mug = (
        [c.strip() for c in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| libero")
    )
    assert book == [
        *("libero_10 5", "put the book away", "3", "3/4 (30-95 %)", "11 / 20 / 29"),
        *("unknown", "1000 to 1002", "67 % (0.10)", "50.0 %", "0.0 %"),
    ]
    assert mug[:6] == ["libero_10 6", "put the mug down", "1", "-", "8 / 8 / 8", "fast"]
    sheet = np.asarray(Image.open(tmp_path / "card" / "card.png"))
    assert sheet.shape == (2 * 130, MOMENTS * 128, 3)
    first = make_episode(10, seed=1000, size=128).images["agentview"]
    assert np.array_equal(
        sheet[20:128, 5 * 128 :], first[-1][20:]
    )  # the last column is the last step, the right way up


def test_a_folder_without_demonstrations_is_named(tmp_path, capsys):
    assert main(["data", "card", str(tmp_path), "--out", str(tmp_path / "card")]) == 1
    assert "no demonstration" in capsys.readouterr().err
