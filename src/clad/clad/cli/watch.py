"""`clad watch`: a page in the browser that shows what a running graph does, or what a recording holds."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from clad.cli.running import ros_module
from clad.errors import UsageError

HELP = "show a running graph, or a recording, on a page in the browser"
EXAMPLES = """\
  clad watch                                  the graph that runs on this machine; `clad sim --watch` does both in one
  clad watch --domain 5 --save run.rrd        of ROS domain 5, and keep what is shown
  clad watch runs/book/bags/libero_10-5-0-0   a recording, ours or one of `ros2 bag record`; needs no ROS
  clad watch runs/book --no-page --save book.rrd
                                              only the file, for `rerun book.rrd`

The page is on this machine only and needs no network. From another machine: ssh -L 9090:127.0.0.1:9090 -L 9876:127.0.0.1:9876
"""
IMAGE_RATE = 10.0  # Hz
Drawn = Callable[[Any, float], Any]  # a Scene for a robot's contract and the most pictures a second


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bags",
        nargs="*",
        type=Path,
        metavar="BAG",
        help="recordings to show in place of a graph, or folders with such below",
    )
    parser.add_argument(
        "--domain", type=int, metavar="N", help="ROS domain of the graph (default: ROS_DOMAIN_ID, or the only one here)"
    )
    parser.add_argument(
        "--robot",
        metavar="NAME",
        help="the robot's contract, by name or YAML file (default: what the planner or the recording says)",
    )
    parser.add_argument("--save", type=Path, metavar="FILE.rrd", help="also write what is shown into a file")
    parser.add_argument("--no-page", action="store_true", help="only write the file")
    parser.add_argument(
        "--port",
        type=int,
        default=9090,
        metavar="N",
        help="the page's (default: %(default)s; a free one if it is taken)",
    )
    parser.add_argument(
        "--image-rate",
        type=float,
        default=IMAGE_RATE,
        metavar="HZ",
        help="the most pictures a second of each camera of a graph (default: %(default)g); of a recording all are shown",
    )


def run(args: argparse.Namespace) -> int:
    from clad.look.scene import Scene
    from clad.look.serve import open_page
    from clad.look.stream import open_stream

    if args.image_rate <= 0:
        raise UsageError(f"--image-rate {args.image_rate:g} shows nothing", "Give a rate above 0 Hz")
    show = _bags(args) if args.bags else _graph(args)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with nullcontext() if args.no_page else open_page(args.port) as page, open_stream(page, args.save) as stream:
            if page is not None:
                print(page.url, flush=True)
            show(lambda contract, rate: Scene(stream, contract, rate))
            if args.bags and page is not None:
                stream.flush()
                _until_interrupted()
    except KeyboardInterrupt:  # how one stops looking
        pass
    return 0


def _graph(args: argparse.Namespace) -> Callable[[Drawn], None]:
    """What shows a running graph; finds ROS and the domain before a page is opened for nothing."""
    node = ros_module("clad_viewer.node")
    if args.domain is not None:
        os.environ["ROS_DOMAIN_ID"] = str(args.domain)
    domain = ros_module("clad_ros.domain").domain_of_graph()
    os.environ["ROS_DOMAIN_ID"] = str(domain)

    def show(scene: Drawn) -> None:
        print(f"watching ROS domain {domain}; Ctrl-C ends it", file=sys.stderr, flush=True)
        node.view(lambda contract: scene(contract, args.image_rate), args.robot)

    return show


def _bags(args: argparse.Namespace) -> Callable[[Drawn], None]:
    """What draws recordings, one after the other; finds them before a page is opened for nothing."""
    from tqdm import tqdm

    from clad.bag.reader import read_messages
    from clad.bag.recording import find_bags, robot_of
    from clad.contract import load_contract

    bags = find_bags(args.bags)
    contract = load_contract(args.robot) if args.robot else robot_of(bags[0])

    def show(scene: Drawn) -> None:
        drawn = scene(contract, float("inf"))
        for bag in tqdm(bags, unit="bag", disable=len(bags) < 2):
            for item in read_messages(bag, set(drawn.topics)):
                drawn.feed(item.topic, item.published, item.message)

    return show


def _until_interrupted() -> None:
    print("Ctrl-C ends it", file=sys.stderr, flush=True)
    while True:
        signal.pause()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
