"""docs/behaviour.md, cycled through on a real graph: states, what is published in each, holding and acting."""

from __future__ import annotations

import time

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from clad_faults.rig import Rig
from clad_faults.suite import graph_of
from clad_interfaces.msg import EpisodeStatus, ExecutedAction
from clad_interfaces.srv import SetOutcome
from clad_ros import topics
from clad_ros.stamps import to_ns

pytestmark = pytest.mark.timeout(300)


def test_the_promises_hold_through_a_cycle_of_states(domain, tiny_model, tmp_path):
    specs, bridge, contract = graph_of("loopback", str(tiny_model), tmp_path)
    rig = Rig([s for s in specs if s.name != "manager"], bridge, contract, tmp_path)
    for name, spec in list(rig.specs.items()):  # no manager: the test itself takes the nodes through their states
        spec.parameters["auto_activate"] = True
    try:
        rig.start_all()
        assert not rig.steps  # nothing is executed before an episode
        rig.until_moving()
        assert rig.episode.phase == EpisodeStatus.RUNNING

        # acting: every control step is told once, in order, and comes from a chunk or says why not
        steps = [m for _, m in rig.steps]
        assert [m.step for m in steps] == sorted({m.step for m in steps})
        assert all((m.source == ExecutedAction.SOURCE_CHUNK) == (m.chunk_seq > 0) for m in steps)
        assert all(m.reason for m in steps if m.source == ExecutedAction.SOURCE_HOLD)

        # inactive: no chunk, so the robot holds; active again: it acts
        change(rig, "policy", Transition.TRANSITION_DEACTIVATE)
        began = rig.now()
        rig.wait(lambda: rig.first_hold(began) is not None, "a hold without a policy")
        change(rig, "policy", Transition.TRANSITION_ACTIVATE)
        assert rig.recovers()

        # the end of an episode: told once with its phase, and nothing is executed after it
        assert rig.call(SetOutcome, topics.SET_OUTCOME, outcome="success").success
        rig.wait(lambda: rig.episode.phase == EpisodeStatus.SUCCESS, "the outcome")
        last = to_ns(rig.steps[-1][1].header.stamp)
        time.sleep(0.3)
        assert to_ns(rig.steps[-1][1].header.stamp) <= last + rig.period

        # and another one
        rig.begin_episode()
        rig.wait(rig.moving, "the next episode")
    finally:
        rig.close()


def change(rig: Rig, node: str, transition: int) -> None:
    assert rig.call(ChangeState, f"/{node}/change_state", transition=Transition(id=transition)).success
