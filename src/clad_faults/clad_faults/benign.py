"""Faults that must change nothing: what is wrong is recognised for what it is, and the robot goes on."""

from __future__ import annotations

import time

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState

from clad.contract import proprio_vector
from clad.errors import CladError
from clad.runtime.bundle import load_bundle
from clad_faults.faults import reordered
from clad_faults.relay import stamp_of
from clad_faults.report import Row
from clad_faults.rig import Rig
from clad_interfaces.msg import ActionChunk, LatentForesight
from clad_ros import topics
from clad_ros.convert import foresight_from_message, observation_from_messages

LASTS = 1.5  # s
ENOUGH = 5  # messages that must have been compared


def reordered_joints(rig: Rig) -> Row:
    """joint_states with the joints in another order: the planner must see the same robot."""
    rig.until_moving()
    joints, pose, foresights = (rig.relays[t] for t in (topics.JOINT_STATES, topics.EE_POSE, topics.LATENT_FORESIGHT))
    bundle = load_bundle(rig.specs["planner"].parameters["model"])
    joints.tamper = reordered()
    time.sleep(LASTS)
    truth = {name: {stamp_of(d): d for d in list(relay.recent)} for name, relay in (("j", joints), ("p", pose))}
    compared = equal = 0
    for data in list(foresights.recent):
        stamp = stamp_of(data)
        if stamp not in truth["j"] or stamp not in truth["p"]:
            continue
        observation = observation_from_messages(
            {},
            deserialize_message(truth["j"][stamp], JointState),
            deserialize_message(truth["p"][stamp], PoseStamped),
            step=0,
            contract=rig.contract,
        )
        expected = bundle.proprio(proprio_vector(observation, bundle.proprio_variant))
        seen = foresight_from_message(deserialize_message(data, LatentForesight)).proprio
        compared, equal = compared + 1, equal + bool(np.array_equal(seen, expected))
    joints.tamper = None
    return Row(
        name="reordered_joints",
        injected="joint_states names its joints last first",
        detected_after_periods=0.0 if compared >= ENOUGH and compared == equal else None,
        state="goes on, the joints found by name",
        recovered=rig.recovers(),
        recovery="none is needed",
        evidence=f"{equal} of {compared} foresights have the proprio of the joints as they are",
    )


def replayed_chunk(rig: Rig) -> Row:
    """After each chunk an old one comes once more: no step of it may be executed."""
    rig.until_moving()
    relay, replayed = rig.relays[topics.ACTION_CHUNK], 0

    def replay(data: bytes) -> list[bytes]:
        nonlocal replayed
        replayed += 1
        return [data, relay.old(8)]

    first = len(rig.steps)
    relay.tamper = replay
    try:
        rig.wait(lambda: replayed >= 4 * ENOUGH, "chunks to be replayed", 10.0)
    except CladError:
        pass
    relay.tamper = None
    newest = deserialize_message(relay.old(0), ActionChunk).seq
    numbers = [m.chunk_seq for _, m in rig.steps[first:] if m.chunk_seq]
    back = sum(after < before for before, after in zip(numbers, numbers[1:]))
    executed = replayed >= 4 * ENOUGH and len(numbers) >= ENOUGH
    return Row(
        name="replayed_chunk",
        injected="after each chunk, the one 8 before it once more",
        detected_after_periods=0.0 if executed and not back else None,
        state="goes on with the newest chunk, the old one refused",
        recovered=rig.recovers(),
        recovery="none is needed",
        evidence=f"{replayed} old chunks delivered; of {len(numbers)} steps (chunks up to {newest}) {back} went back",
    )


BENIGN_FAULTS = {"reordered_joints": reordered_joints, "replayed_chunk": replayed_chunk}
