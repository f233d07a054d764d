"""The manifest: what resuming goes by, whole after any kill; and the disk that a campaign must fit on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from clad.campaign import disk
from clad.campaign.manifest import Entry, Manifest, fingerprint, only_one, results_folder
from clad.campaign.plan import Condition, Item
from clad.campaign.report import summary
from clad.contract import load_contract
from clad.errors import CladError, UsageError
from clad.eval.episodes import EpisodeSpec

CONDITION = Condition(
    name="c", model="m", protocol="exact", visuals="fast", mode="lockstep", execution="sync", delay_ms=0.0
)

SEEN = [(60_000_000, 100), (70_000_000, 100), (0, 0)]  # bytes, control steps of bags with a large camera's pictures


def item(init: int, repeat: int = 1) -> Item:
    spec = EpisodeSpec(suite="libero_10", task=5, init_index=init, seed=init)
    return Item(condition="c", spec=spec, repeat=repeat)


def entry(of: Item, outcome: str = "success") -> Entry:
    spec = of.spec
    return Entry(
        condition=of.condition, suite=spec.suite, task=spec.task, init_index=spec.init_index, seed=spec.seed,
        repeat=of.repeat, outcome=outcome, reason="", judged_by="graph", started="2026-01-01T00:00:00+00:00",
        wall_s=1.0, bag="c/bags/x", bag_sha256="", bag_bytes=0, row=None,
    )  # fmt: skip


def test_only_what_counts_is_done_and_all_of_it_is_found_again(tmp_path):
    manifest = Manifest.resume(tmp_path, {"robot": "sim"})
    manifest.begin(CONDITION, {"model_sha256": "ab"})
    for init, outcome in enumerate(["success", "timeout", "aborted", "interrupted"]):
        manifest.add(entry(item(init), outcome))
    again = Manifest.resume(tmp_path, {"robot": "sim"})
    assert again.entries == manifest.entries
    assert [again.has(item(init)) for init in range(5)] == [True, True, False, False, False]
    assert not again.has(item(0, repeat=2))
    assert not list(tmp_path.glob(".manifest*"))  # nothing half written stays
    plan = SimpleNamespace(conditions={"c": CONDITION}, of=lambda name: [item(i) for i in range(5)])
    assert summary(plan, again).splitlines()[1].split() == ["c", "2", "1/2", "9.5-90.5", "%", "3", "2"]


def test_another_experiment_is_refused_by_name(tmp_path):
    manifest = Manifest.resume(tmp_path, {"max_steps": 100})
    manifest.begin(CONDITION, {"model_sha256": "ab"})
    manifest.add(entry(item(0)))
    with pytest.raises(UsageError, match="made with max_steps 100, not 200. Use the same, or another --out"):
        Manifest.resume(tmp_path, {"max_steps": 200})
    with pytest.raises(UsageError, match="condition c was run with model_sha256 ab, not cd"):
        Manifest.resume(tmp_path, {"max_steps": 100}).begin(CONDITION, {"model_sha256": "cd"})


@pytest.mark.parametrize("damage", ["{", '{"schema": 2}', '{"schema": 1}', "[]"])
def test_a_damaged_manifest_is_told(tmp_path, damage):
    (tmp_path / "manifest.json").write_text(damage)
    with pytest.raises(CladError, match="is damaged: .*Restore a whole copy"):
        Manifest.resume(tmp_path, {})


def test_a_write_that_fails_leaves_the_old_manifest(tmp_path, monkeypatch):
    manifest = Manifest.resume(tmp_path, {})
    manifest.add(entry(item(0)))
    before = (tmp_path / "manifest.json").read_bytes()
    monkeypatch.setattr("clad.campaign.manifest.os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError):
        manifest.add(entry(item(1)))
    assert (tmp_path / "manifest.json").read_bytes() == before
    assert json.loads(before)["episodes"][0]["init_index"] == 0


def test_a_folder_has_one_campaign_at_a_time(tmp_path):
    with only_one(tmp_path):
        with pytest.raises(UsageError, match="a campaign is running in"):
            with only_one(tmp_path):
                pass
    with only_one(tmp_path):
        pass


def test_repetitions_lie_apart_and_one_repetition_as_if_there_were_no_more(tmp_path):
    assert results_folder(tmp_path, "c", 1) == tmp_path / "c"
    assert results_folder(tmp_path, "c", 2) == tmp_path / "c" / "repeat-2"


def test_a_fingerprint_is_of_the_whole_file(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "bag").write_bytes(content)
    assert fingerprint(tmp_path / "bag") == (hashlib.sha256(content).hexdigest(), len(content))


def test_an_episode_takes_what_was_measured_or_more():
    libero, fake = load_contract("libero"), load_contract("fake")
    assert (
        29.6e6 < disk.episode_bytes(libero, steps=520, every=1, simulated=True) < 2 * 29.6e6
    )  # free-run, fast visuals
    assert 1.56e6 < disk.episode_bytes(libero, steps=110, every=6, simulated=True) < 2 * 1.56e6  # lock-step
    assert 3.5e6 < disk.episode_bytes(fake, steps=89, every=1, simulated=False)
    done = [replace(entry(item(i)), bag_bytes=size, row={"steps": steps}) for i, (size, steps) in enumerate(SEEN)]
    assert disk.episode_bytes(libero, steps=520, every=1, simulated=True, before=done) == 520 * 700_000


def test_what_does_not_fit_is_refused_before_it_begins(tmp_path, monkeypatch):
    size = disk.episode_bytes(load_contract("libero"), steps=520, every=1, simulated=True)
    monkeypatch.setattr(disk, "free_bytes", lambda folder: disk.RESERVE + 2 * size)
    disk.require_room(tmp_path / "not" / "there", [size, size])
    with pytest.raises(CladError, match="may need .* GB are free. Free some"):
        disk.require_room(tmp_path, [size, size, size])
    monkeypatch.undo()
    assert disk.free_bytes(tmp_path / "not" / "there") == disk.free_bytes(tmp_path) > 0
