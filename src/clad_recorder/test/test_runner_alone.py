"""The runner without a graph says what it misses."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(300)  # a shared machine may be slow to start a node


def test_missing_nodes_are_named(graph, tiny_model, tmp_path):
    process = graph.start(
        "clad_recorder",
        "episode_runner_node",
        model=str(tiny_model),
        out=str(tmp_path),
        task=5,
        startup_timeout=1.0,
    )
    graph.wait(lambda: process.popen.poll() is not None, "the runner to end")
    assert process.popen.returncode == 1
    last = process.output.splitlines()[-1]
    assert all(f"{node} (not there)" in last for node in ("recorder", "monitor", "policy", "planner", "sim_bridge"))
