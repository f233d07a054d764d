"""`clad robot`: the whole graph on an arm, or on one that stands in for it: what `clad sim` is for LIBERO."""

from __future__ import annotations

import argparse

from clad.cli import options
from clad.cli.beside import add_watch, watched
from clad.cli.outputs import results_folder
from clad.cli.running import ros_or_refuse, run_here

HELP = "a trained model drives an arm, or the fake one, through ROS 2 nodes; bag, video and result are left behind"
EXAMPLES = """\
  clad robot                                     a simulated UR5e behind ros2_control's topics picks up a block
  clad robot --episodes 20 --seed 200            the block lies elsewhere each time; the seed says where
  clad robot --watch                             the same, with a page in the browser that shows what goes on
  clad robot --robot loopback --model NAME       the same without physics or pictures, to try the graph
  clad robot --robot ur --instruction 'put the cup on the plate'
                                                 your UR5e; start its driver and its cameras before (docs/robot.md)
  clad robot --robot mine.yaml --episodes 10     any robot that has a contract with a driver section

The fake robot says itself that the block is up. On an arm somebody says how an episode ended:
ros2 service call /set_outcome clad_interfaces/srv/SetOutcome '{outcome: success}'
Stop the arm: ros2 service call /emergency_stop std_srvs/srv/Trigger. Everything else is in docs/robot.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--robot",
        default="fake",
        metavar="NAME",
        help="fake, loopback, franka, ur, or a contract's YAML file (default: %(default)s)",
    )
    options.add(
        parser,
        *("instruction", "init", "episodes", "seed", "execution", "max-steps", "model", "provider", "precision"),
        *(
            "fused",
            "sample-steps",
            "warm-start",
            "threads",
            "realtime",
            "out",
            "json",
            "resume",
            "security",
            "keystore",
        ),
        instruction={"help": "what the robot is told (default: the words of the model's first task)"},
        init={"help": "number of the first episode's scene, for the result; the next ones follow"},
        max_steps={"default": 600, "help": "control steps an episode may take; then it is a timeout"},
    )
    add_watch(parser)


def run(args: argparse.Namespace) -> int:
    from clad.contract import load_contract
    from clad.runtime.bundle import load_bundle
    from clad.runtime.catalogue import find_bundle

    beside = watched(args)
    contract = load_contract("fake" if args.robot == "loopback" else args.robot)
    bundle = load_bundle(find_bundle(args.model, contract.name))
    bundle.require_contract(contract)
    instruction = args.instruction or bundle.tasks[0].instruction
    out = results_folder("robot", out=args.out, resume=args.resume, json=args.json)
    names = ("robot", "init", "episodes", "seed", "execution", "max_steps", "provider", "precision", "sample_steps")
    arguments = {name: str(getattr(args, name)) for name in (*names, "threads", "realtime")}
    arguments.update(
        instruction=instruction,
        model=str(bundle.path),
        fused=str(args.fused).lower(),
        warm_start=str(args.warm_start).lower(),
        out=str(out),
        json=args.json or "",
        resume=str(args.resume).lower(),
        security=str(args.security).lower(),
        keystore=args.keystore,
    )
    ros = ros_or_refuse()
    words = f"{bundle.id} on {args.robot}: {instruction}, {args.episodes} episode{'s' * (args.episodes > 1)}"
    return run_here(ros, ros.robot_graph(arguments), out, words, beside=beside)
