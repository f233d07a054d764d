"""The fake robot's model in one process, where time stands still while it computes: what it can do on any machine.

The same arm, controller, conversion and safety filter as in the graph; the pictures are of the step that a plan is for.
It needs the environment of ./clad: `. .venv/bin/activate && . install/local_setup.bash`.
"""

from __future__ import annotations

import argparse

import numpy as np

from clad.sim.gl import choose_backend

choose_backend()  # before anything imports MuJoCo

from clad.contract import Observation, load_contract  # noqa: E402
from clad.eval.stats import wilson  # noqa: E402
from clad.runtime.bundle import load_bundle  # noqa: E402
from clad.runtime.execution.delayed import DelayedExecution  # noqa: E402
from clad.runtime.planner import Planner  # noqa: E402
from clad.runtime.policy import Policy  # noqa: E402
from clad_fake_robot.demos import Rig  # noqa: E402
from clad_fake_robot.task import EPISODES, INSTRUCTION  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="clad-fake-reach", help="(default: %(default)s)")
    parser.add_argument("--episodes", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=200, help="of the first episode (default: %(default)s)")
    parser.add_argument("--max-steps", type=int, default=600, help="(default: %(default)s)")
    parser.add_argument("--blind", action="store_true", help="vision zeroed: the control that the task needs eyes")
    args = parser.parse_args()

    contract = load_contract("fake")
    bundle = load_bundle(args.model)
    if args.blind:
        bundle = bundle.blinded()
    planner, policy, rig = Planner(bundle, contract), Policy(bundle, contract), Rig(contract)
    cameras = rig.cameras()
    won = 0
    for seed in range(args.seed, args.seed + args.episodes):
        rig.begin(seed, np.array(contract.driver.home))
        rig.scene.lay(seed, EPISODES)
        planner.reset(INSTRUCTION, seed)
        joined = DelayedExecution(contract, "hold", every=bundle.execute_steps)
        step = 0
        while not rig.scene.solved and step < args.max_steps:
            if joined.wants_plan(step):
                state = rig.state()
                observation = Observation(
                    step=step,
                    images=cameras.pictures(),
                    joint_position=state.joints,
                    joint_velocity=state.joint_velocity,
                    gripper_position=state.fingers,
                    ee_position=state.ee_position,
                    ee_quaternion=state.ee_quaternion,
                )
                joined.submit(policy.act(planner.plan(observation)), delay=0)
            planner.executed(step, np.clip(rig.act(joined.action(step)[0]), -1.0, 1.0))
            step += 1
        won += rig.scene.solved
        print(f"seed {seed}: {'success' if rig.scene.solved else 'timeout'} after {step} steps", flush=True)
    low, high = wilson(won, args.episodes)
    print(f"success {won}/{args.episodes} (Wilson 95 %: {100 * low:.1f}-{100 * high:.1f} %)")
    cameras.close()


if __name__ == "__main__":
    main()
