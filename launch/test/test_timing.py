"""The loopback robot's graph, watched over real DDS: every chunk is found again, with its stages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clad.bench.graph import rows
from clad.contract import load_contract
from clad_bringup.conductor import conduct
from clad_bringup.timing import NODES, timed_graph, watch_episode
from clad_ros.domain import own_domain

sys.path.append(str(Path(__file__).parents[2] / "src" / "clad" / "test"))
from tiny_bundle import write_tiny_models

RATE = 20.0


@pytest.mark.timeout(300)
def test_a_graph_is_timed(tmp_path):
    model = write_tiny_models(tmp_path, robot="fake")
    specs = timed_graph({"model": str(model), "out": str(tmp_path)}, Path("fake"), RATE)
    assert [spec.name for spec in specs if "nodes" in spec.parameters] == ["manager"]
    said = []
    with own_domain():
        seen = conduct(
            specs,
            lambda conductor: watch_episode(conductor, load_contract("fake"), seconds=8, every=0.5),
            show=lambda node, line: said.append((node, line)),
        )
    assert len(seen.executed_at) > 6 * RATE, said[-10:]  # the last are on their way when the outcome comes
    known = [c for c in seen.chunks if c.stamp in seen.observed and c.foresight in seen.foresights]
    assert len(known) > 40 and len(known) >= 0.9 * len(seen.chunks), (len(known), len(seen.chunks))
    found = {row.name: row for row in rows(seen, {}, {})}
    assert 0 < found["encode"].p50 < found["observation to chunk"].p50 and found["ROS share"].p50 > 0
    for node in NODES:
        assert found[f"PSS {node}"].p50 > 10 and found[f"CPU {node}"].p50 >= 0


def test_work_that_fails_ends_the_graph(tmp_path):
    def work(conductor):
        raise ValueError("enough")

    specs = timed_graph(
        {"model": str(write_tiny_models(tmp_path, robot="fake")), "out": str(tmp_path)}, Path("fake"), RATE
    )
    with own_domain(), pytest.raises(ValueError, match="enough"):
        conduct(specs, work, show=lambda node, line: None)
