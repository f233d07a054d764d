"""Strings in messages that look like paths: answered or refused, and nothing outside the output folder is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rclpy.action import ActionClient

from clad_faults.rig import NOWHERE, Rig
from clad_faults.suite import graph_of
from clad_interfaces.action import RunEpisode
from clad_interfaces.srv import ResetEpisode, StartRecording, StopRecording
from clad_ros import topics

pytestmark = pytest.mark.timeout(300)


def outside(root: Path, out: Path) -> dict[str, tuple[int, int]]:
    """Every path below root that is not below out -> (size, time of its last change)."""
    found = {}
    for folder, folders, files in os.walk(root):
        if Path(folder) == out.parent:
            folders.remove(out.name)
        for name in (*folders, *files):
            status = (Path(folder) / name).lstat()
            found[str(Path(folder) / name)] = (status.st_size, status.st_mtime_ns if name in files else 0)
    return found


def test_names_that_lead_out_of_the_output_folder_touch_nothing_there(domain, tiny_model, tmp_path):
    home, out, logs = tmp_path / "home", tmp_path / "home" / "a" / "out", tmp_path / "logs"
    out.mkdir(parents=True)
    logs.mkdir()
    (home / "treasure").write_text("untouched")
    (out / "link").symlink_to(home)
    names = ["../../treasure", "../../new", str(home / "treasure"), str(home / "new"), "link/new", "../out2/new"]
    specs, bridge, contract = graph_of("loopback", str(tiny_model), out)
    rig = Rig(specs, bridge, contract, logs, wired=NOWHERE)
    try:
        rig.start_all()
        before = outside(home, out)
        assert str(home / "treasure") in before
        for name in names:
            assert not rig.call(StartRecording, topics.START_RECORDING, uri=name).success, name
            assert not rig.call(ResetEpisode, topics.RESET_EPISODE, suite=name, instruction="x").success, name
        reset = rig.call(ResetEpisode, topics.RESET_EPISODE, instruction=names[0])
        assert reset.success and reset.instruction == names[0]  # words for the policy's encoder, whatever they say
        client = ActionClient(rig.node, RunEpisode, topics.RUN_EPISODE)
        rig.wait(client.server_is_ready, topics.RUN_EPISODE)
        for name in names:
            sent = client.send_goal_async(RunEpisode.Goal(instruction=name, bag=name, max_steps=3))
            rig.wait(sent.done, "the goal's acceptance")
            finished = sent.result().get_result_async()
            rig.wait(finished.done, "the outcome", 60.0)
            assert finished.result().result.outcome == "timeout", finished.result().result.reason
        # the nodes live, and a plain name is still recorded, in the folder where it belongs
        assert rig.call(StartRecording, topics.START_RECORDING, uri="bags/plain").success
        assert rig.call(StopRecording, topics.STOP_RECORDING).success
        assert (out / "bags" / "plain").is_dir()
        assert outside(home, out) == before and (home / "treasure").read_text() == "untouched"
    finally:
        rig.close()
