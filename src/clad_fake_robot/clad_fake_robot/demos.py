"""Demonstrations of the fake robot's task: the same arm, controller, conversion and safety filter as the graph's, in one process.

What the graph does by the wall clock happens here as fast as it can be computed: at each control step the arm is measured,
an action becomes a command, the command a trajectory, and physics runs for one control period. Needs no ROS graph.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clad.contract import RobotContract, native_to_wire
from clad.data.episode import Episode
from clad.data.lerobot_writer import DatasetWriter
from clad.data.no_ops import no_ops
from clad.errors import CladError, UsageError
from clad.robot.commands import Converter
from clad.robot.kinematics import load_kinematics
from clad.robot.trajectory import onward, standing
from clad.safety import JointCommand, Measured, SafetyFilter
from clad.sim.expert.noise import ActionNoise
from clad.stamps import SECOND
from clad_fake_robot.arm import PhysicsArm, State
from clad_fake_robot.cameras import Cameras, RenderedCameras
from clad_fake_robot.controller import Controller
from clad_fake_robot.task import DEMONSTRATIONS, INSTRUCTION, OPEN, Expert, Scene

FIRST_SEED = 1000  # as of every robot's demonstrations: lower ones are for trying things out
LONGEST = 240  # control steps after which the expert has failed
STRAY = 0.25  # rad: in half of the episodes the joints begin up to so far from home


class Rig:
    """The robot and what the bridge does to it, a control step at a time."""

    def __init__(self, contract: RobotContract) -> None:
        self._contract = contract
        self._arm = PhysicsArm(contract)
        self._kinematics = load_kinematics(contract)
        self._converter = Converter(contract, self._kinematics)
        self._filter = SafetyFilter(contract, forward=lambda q: self._kinematics.forward(q)[0])
        self._period, self._step = (round(s * SECOND) for s in (contract.control_period, self._arm.step_size))
        self.scene = Scene(self._arm.model, self._arm.data)

    def begin(self, seed: int, joints: np.ndarray) -> None:
        """The scene of a demonstration; the arm stands at `joints` (J,) rad, and is under way as after the way home."""
        self._now = 0
        self._arm.stand(joints)
        self.scene.lay(seed, DEMONSTRATIONS)
        self._filter.restart()
        self._controller = Controller(
            self._contract.joint_names, joints, self._kinematics, period=self._contract.control_period, now=0
        )
        self._trajectory, self._fingers = standing(joints, 0), np.array(self._contract.driver.gripper.open)
        for _ in range(round(self._contract.limits.blend_in / self._contract.control_period) + 1):
            self._send(JointCommand(positions=joints, velocities=np.zeros_like(joints), gripper=OPEN))

    def state(self) -> State:
        return self._arm.state()

    def cameras(self) -> RenderedCameras:
        return RenderedCameras(self._arm.model, self._contract, lambda: self._arm.data.qpos)

    def act(self, native: np.ndarray) -> np.ndarray:
        """Execute a native action (N,) for one control period; returns what the safety filter made of it."""
        wire = native_to_wire(native, self._contract.action)
        measured = self._measured()
        reference = self._trajectory.sample(self._now)[0]
        command = self._converter.command(wire, wire, measured, reference)
        sent = self._send(command)
        if sent is command:
            return native
        return self._converter.executed(sent, measured, float(native[self._contract.action.gripper_index]))

    def _measured(self) -> Measured:
        state = self._arm.state()
        return Measured(
            stamp=self._now,
            joint_position=state.joints,
            ee_position=state.ee_position,
            ee_quaternion=state.ee_quaternion,
        )

    def _send(self, command: JointCommand) -> JointCommand:
        """One control period of physics under the command, as far as the safety filter lets it."""
        contract, sent = self._contract, self._filter.step(command, self._measured(), self._now).command
        self._trajectory = way = onward(
            self._trajectory,
            self._now,
            sent.positions,
            np.zeros_like(sent.positions) if sent.velocities is None else sent.velocities,
            period=contract.control_period,
            stop_time=contract.driver.stop_time,
        )
        times = [round(t * SECOND) for t in way.times]
        self._controller.take_trajectory(
            contract.joint_names, way.positions, way.velocities, times, stamp=self._now, now=self._now
        )
        if sent.gripper is not None:
            self._fingers = contract.driver.gripper.fingers(sent.gripper)
        end = self._now + self._period
        while self._now < end:
            self._now += self._step
            self._arm.step(*self._controller.reference(self._now), self._fingers)
        return sent


def demonstrate(rig: Rig, cameras: Cameras, contract: RobotContract, seed: int) -> Episode | None:
    """One demonstration, with noise on the executed actions and the clean ones as labels; None when the expert fails."""
    rng = np.random.default_rng([DEMONSTRATIONS, seed, 1])
    home = np.array(contract.driver.home)
    rig.begin(seed, home)
    upright = rig.state().ee_quaternion
    if rng.random() < 0.5:
        rig.begin(seed, home + rng.uniform(-STRAY, STRAY, len(home)) * [1.0, 0.6, 0.6, 0.3, 0.3, 0.6])
    expert, noise = Expert(contract, upright, rng.uniform(0.5, 0.7)), ActionNoise(rng)
    states, images, expected, executed = [], [], [], []
    for _ in range(LONGEST):
        state = rig.state()
        meant = expert(rig.scene, state.ee_quaternion, state.fingers)
        images.append(cameras.pictures())
        states.append(state)
        expected.append(meant)
        executed.append(rig.act(noise(meant)))
        if rig.scene.solved:
            break
    else:
        return None
    meant = np.stack(expected)
    fingers = np.stack([s.fingers for s in states])
    return Episode(
        name=f"seed_{seed}",
        instruction=INSTRUCTION,
        images={camera: np.stack([i[camera] for i in images]) for camera in contract.cameras},
        joint_position=np.stack([s.joints for s in states]),
        joint_velocity=np.stack([s.joint_velocity for s in states]),
        gripper_position=fingers,
        ee_position=np.stack([s.ee_position for s in states]),
        ee_quaternion=np.stack([s.ee_quaternion for s in states]),
        executed=np.clip(np.stack(executed), -1.0, 1.0),
        expert=meant,
        label_valid=~no_ops(meant, fingers),
        meta={
            "suite": contract.name,
            "task": 0,
            "seed": seed,
            "protocol": "robot",
            "visuals": "camera",
            "source": "scripted expert",
        },
    )


def collect(contract: RobotContract, out: Path, count: int, *, first_seed: int = FIRST_SEED) -> Iterator[str]:
    """Write `count` demonstrations as a LeRobot dataset, which appears when it is complete; yields what is to be told.

    Raises UsageError where `out` exists, CladError when the expert fails on more scenes than it solves.
    """
    if out.exists():
        raise UsageError(f"{out} exists already", "Nothing is overwritten; choose another --out")
    partial = out.with_name(f"{out.name}.{os.getpid()}.partial")
    rig, failed, done, seed = Rig(contract), 0, 0, first_seed
    cameras = rig.cameras()
    try:
        writer = DatasetWriter(partial, contract)
        while done < count:
            episode = demonstrate(rig, cameras, contract, seed)
            seed += 1
            if episode is None:
                failed += 1
                if failed > 5 + done:
                    raise CladError(f"the expert failed on {failed} of {failed + done} scenes")
                continue
            writer.add(episode)
            done += 1
            yield f"{len(episode)} steps, {failed} failed"
        writer.close()
        partial.replace(out)
    finally:
        cameras.close()
        shutil.rmtree(partial, ignore_errors=True)
