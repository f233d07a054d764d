"""Observation to chunk, measured: where the time of one decision goes. Run by `clad info NAME --latency N`."""

from __future__ import annotations

import time

import numpy as np

from clad.contract import Observation, RobotContract
from clad.runtime.bundle import ModelBundle
from clad.runtime.planner import Planner
from clad.runtime.policy import Policy


def measure(
    bundle: ModelBundle,
    contract: RobotContract,
    *,
    decisions: int,
    provider: str = "cpu",
    threads: int = 1,
    precision: str = "fp32",
    fused: bool = False,
    sample_steps: int = 0,
) -> dict[str, list[float]]:
    """Wall seconds of each stage, one entry a decision, after warm-up and with no rendering.

    encode: both cameras. plan: the planner's graph and bookkeeping, without encode. policy: condition and all sampling
    steps. total: their sum. cpu: CPU seconds of the whole decision in all threads; with one thread it is what `total`
    would be on a core of its own, whatever else keeps the machine busy. The pictures are noise, which costs a network
    the same as any other picture.
    """
    placement = {"provider": provider, "threads": threads, "precision": precision}
    planner = Planner(bundle, contract, **placement)
    policy = Policy(bundle, contract, **placement, fused=fused, sample_steps=sample_steps)
    planner.warm_up()
    policy.warm_up()
    planner.reset(bundle.tasks[0].instruction, seed=0)
    rng = np.random.default_rng(0)
    stages: dict[str, list[float]] = {"encode": [], "plan": [], "policy": [], "total": [], "cpu": []}
    for i in range(decisions):
        step = i * bundle.execute_steps
        observation = _observation(step, bundle, contract, rng)
        before = time.process_time()
        foresight = planner.plan(observation)
        chunk = policy.act(foresight)
        stages["cpu"].append(time.process_time() - before)
        for s in range(step, step + bundle.execute_steps):
            planner.executed(s, rng.uniform(-1, 1, len(contract.action.names)))
        stages["encode"].append(foresight.encode_latency)
        stages["plan"].append(foresight.plan_latency - foresight.encode_latency)
        stages["policy"].append(chunk.policy_latency)
        stages["total"].append(foresight.plan_latency + chunk.policy_latency)
    return stages


def _observation(step: int, bundle: ModelBundle, contract: RobotContract, rng: np.random.Generator) -> Observation:
    size = contract.image_size
    return Observation(
        step=step,
        images={c: rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for c in bundle.cameras},
        joint_position=rng.uniform(-1, 1, len(contract.joint_names)),
        joint_velocity=rng.uniform(-1, 1, len(contract.joint_names)),
        gripper_position=rng.uniform(0, 0.04, len(contract.gripper_joint_names)),
        ee_position=rng.uniform(-1, 1, 3),
        ee_quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
    )
