"""`clad encode`: demonstrations to a feature cache."""

from __future__ import annotations

import argparse
from pathlib import Path

from clad.cli import options

HELP = "run the frozen encoder over demonstrations, once, for training"
EXAMPLES = """\
  clad encode                                       data/demos into data/features
  clad encode --demos my.hdf5 --out data/mine       one file
  clad encode --demos runs/x/bags --out data/runs   recorded episodes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--demos",
        type=Path,
        default=Path("data/demos"),
        metavar="PATH",
        help="LIBERO files (*.hdf5), LeRobot v3 datasets, rosbag2 bags, or a folder of them (default: %(default)s)",
    )
    parser.add_argument(
        "--encoder",
        type=Path,
        default=Path("models/encoder-offline"),
        metavar="DIR",
        help="encoder directory (default: %(default)s)",
    )
    parser.add_argument(
        "--robot",
        metavar="NAME",
        help="contract of the robot that the demonstrations show (default: the one that they hold, else libero)",
    )
    parser.add_argument(
        "--workers", type=options.count, default=1, metavar="N", help="processes (default: %(default)s)"
    )
    options.add(parser, "out", "threads", out={"default": "data/features", "help": "the cache; encoding resumes in it"})


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clad.data import features
    from clad.data.embedded import robot_of
    from clad.encoders.encoder import Encoder

    out = Path(args.out)
    info = features.open_cache(out, Encoder(args.encoder), robot_of(args.robot, [args.demos]))
    jobs, done = features.pending(args.demos, out)
    print(f"{done} demonstrations are in {out} already, {len(jobs)} to encode with '{info.encoder_name}'")
    frames = 0
    with tqdm(total=len(jobs), unit="demo", disable=not jobs) as bar:
        for count in features.encode(jobs, args.encoder, workers=args.workers, threads=args.threads):
            frames += count
            bar.set_postfix(frames=frames)
            bar.update()
    print(f"{done + len(jobs)} demonstrations in {out}")
    return 0
