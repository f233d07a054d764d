"""`fake`'s task: a red block lies somewhere in front of the hand, and is to be picked up. Where it lies follows from a seed.

The expert and the judge know where the block is; the robot has to see it.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from clad.contract import RobotContract, wire_to_native
from clad.robot.pose import limited, motion_between
from clad_fake_robot.scene import BLOCK, BLOCKS

INSTRUCTION = "pick up the red block"
TARGET = "red_block"
AREA = np.array([[0.39, -0.25], [0.57, -0.08]])  # m: corners of the square in which its centre lies
TURN = 0.3  # rad to either side
LIFTED = 0.08  # m from the table to the centre of a block that counts as picked up
CLEAR = 0.2  # m above the table from which on the hand is in no block's way
EPISODES, DEMONSTRATIONS = 0, 1  # whose seeds: scenes of the one are never scenes of the other

OPEN, CLOSED = -1.0, 1.0
HOVER = 0.07  # m above the block to which the hand goes first
OVER, AT_GRASP = 0.012, 0.008  # m: near enough sideways to go down, and all round to close
HELD = 0.008  # m: a finger that is closer to the middle has closed on nothing
CLOSING = 8  # control steps that closing takes


def block_pose(seed: int, whose: int = EPISODES) -> tuple[np.ndarray, float]:
    """Where the block lies, (2,) m, and how it is turned, rad."""
    rng = np.random.default_rng([whose, seed])
    return rng.uniform(*AREA), float(rng.uniform(-TURN, TURN))


class Scene:
    """The blocks of one simulated robot."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._data = data
        self._joints = {name: data.joint(f"{name}_joint") for name in BLOCKS}
        self._hand = data.site("grip_site")

    @property
    def block(self) -> np.ndarray:
        """(3,) m, centre of the block that is to be picked up."""
        return self._joints[TARGET].qpos[:3].copy()

    @property
    def hand(self) -> np.ndarray:
        """(3,) m, the point between the finger pads."""
        return self._hand.xpos.copy()

    @property
    def clear(self) -> bool:
        """Whether the hand is in no block's way."""
        return bool(self._hand.xpos[2] > CLEAR)

    @property
    def solved(self) -> bool:
        """Whether the block is off the table and in the hand."""
        block = self.block
        return bool(block[2] > LIFTED and np.linalg.norm(block - self._hand.xpos) < 2 * BLOCK)

    def lay(self, seed: int, whose: int = EPISODES) -> None:
        """Lay all blocks down, at rest, as the seed says."""
        (x, y), turn = block_pose(seed, whose)
        for name, joint in self._joints.items():
            place = (x, y, turn) if name == TARGET else (*BLOCKS[name][0], 0.0)
            joint.qpos[:] = *place[:2], BLOCK, np.cos(place[2] / 2), 0.0, 0.0, np.sin(place[2] / 2)
            joint.qvel[:] = 0.0


class Expert:
    """Picks the block up: over it, down, close, up; from wherever the hand is. Knows where the block lies.

    speed: share of the largest step that it takes. upright: quaternion (4,) xyzw that the flange is to keep.
    """

    def __init__(self, contract: RobotContract, upright: Sequence[float], speed: float) -> None:
        self._spec, self._upright = contract.action, np.array(upright)
        self._step = speed * min(contract.action.scale[:3])  # m
        self._gripper, self._closed = OPEN, 0

    def __call__(self, scene: Scene, quaternion: np.ndarray, fingers: np.ndarray) -> np.ndarray:
        """The native action (7,) for the flange's quaternion and the fingers' positions (2,), m."""
        block, hand = scene.block, scene.hand
        if self._gripper == OPEN:
            aside = np.linalg.norm((block - hand)[:2])
            # down a funnel: the nearer to the middle, the lower
            height = block[2] + np.clip(4 * (aside - OVER), 0.0, HOVER)
            target = np.array([block[0], block[1], height])
            if np.linalg.norm(target - hand) < AT_GRASP:
                self._gripper, self._closed = CLOSED, 0
        else:
            self._closed += 1
            target = hand + [0.0, 0.0, 0.05] if self._closed > CLOSING else hand
            if self._closed > CLOSING and np.abs(fingers).max() < HELD:
                self._gripper = OPEN
        turn = motion_between(hand, quaternion, hand, self._upright)[3:]
        motion = limited(0.6 * np.concatenate([target - hand, turn]), self._step, np.inf)
        return wire_to_native(np.append(motion, self._gripper), self._spec)
