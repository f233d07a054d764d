"""Demonstrations through the filter, and actions as commands and back."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tiny_demos import reach_episode, write_reach_demos

from clad.cli.main import main
from clad.contract import load_contract
from clad.errors import CladError
from clad.safety.actions import action_of, command_of
from clad.safety.replay import Replay

LIBERO = load_contract("libero")


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6), st.sampled_from([-1.0, 1.0]))
def test_an_action_becomes_a_command_and_that_action_again(motion, gripper):
    action = np.array([*motion, gripper])
    command = command_of(action, LIBERO)
    assert np.allclose(command.linear, action[:3] * 1.0) and np.allclose(command.angular, action[3:6] * 10.0)
    assert np.allclose(action_of(command, LIBERO, 0.0), action, atol=1e-12)


def test_actions_that_take_kinematics_are_refused_in_words():
    deltas = replace(LIBERO, action=replace(LIBERO.action, representation="JOINT_DELTA"))
    with pytest.raises(CladError, match="JOINT_DELTA actions of libero cannot be judged without the arm's kinematics"):
        command_of(np.zeros(7), deltas)


def robot(**changes):
    return replace(LIBERO, limits=replace(LIBERO.limits, **changes))


def test_a_replay_counts_what_the_filter_would_have_done():
    inside = reach_episode(0, size=8)
    outside = replace(inside, ee_position=inside.ee_position + [2.0, 0.0, 0.0])
    roomy = robot(workspace=((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)))
    replay = Replay()
    replay.add(inside, roomy)
    assert (replay.episodes, replay.steps, replay.clamped, replay.stopped, replay.reasons) == (1, 24, 0, 0, {})
    replay.add(outside, roomy)
    further = int((outside.executed[:, 0] > 0).sum())
    assert 0 < further == replay.reasons["workspace"] == replay.clamped and not replay.stopped
    replay.add(outside, robot(workspace=roomy.limits.workspace, policy="hold"))
    assert replay.stopped == further and (replay.episodes, replay.episodes_stopped) == (3, 1)


def test_the_command_fails_where_the_filter_would_have_stopped_a_demonstration(tmp_path, capsys):
    demos = write_reach_demos(tmp_path / "reach_demo.hdf5", 2)
    contract = resources.files("clad.contract") / "robots" / "libero.yaml"
    body = yaml.safe_load(contract.read_text())
    for policy, code in (("clamp", 0), ("hold", 1)):
        body["limits"] |= {"policy": policy, "linear_velocity": 0.5}
        robot_file = tmp_path / f"{policy}.yaml"
        robot_file.write_text(yaml.safe_dump(body))
        assert main(["data", "check", str(demos), "--safety", "--robot", str(robot_file)]) == code
        shown = capsys.readouterr()
        assert "cartesian_velocity at" in shown.out
    assert "would have stopped 2 of these episodes" in shown.err
