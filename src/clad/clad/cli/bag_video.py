"""`clad bag video`: an MP4 of every episode in recordings."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from clad.errors import UsageError

HELP = "write an MP4 of every episode: cameras, instruction, time, held steps, outcome"
EXAMPLES = """\
  clad bag video runs/book/bags --out videos           every bag below a folder
  clad bag video my_recording --camera /front/image_raw --camera /wrist/image_raw/compressed --out front.mp4
                                                       of any recording with Image or CompressedImage topics

a second of video is a second of ROS time; a recording that was cut off is shown up to the cut
"""
FPS = 20.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bags", nargs="+", type=Path, metavar="BAG", help="rosbag2 in MCAP, or a folder with such below it"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR|FILE.mp4", help="a folder, or a file for one episode (default: beside the bag)"
    )
    parser.add_argument(
        "--fps", type=float, default=FPS, metavar="N", help="pictures a second of ROS time (default: %(default)g)"
    )
    parser.add_argument(
        "--camera", action="append", metavar="TOPIC", help="show this topic; may repeat (default: all with pictures)"
    )


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clad.bag.recording import find_bags
    from clad.bag.video import SUFFIX, write_videos

    if not 0 < args.fps <= 240:
        raise UsageError(f"--fps {args.fps:g} is no rate of a video", "Give one above 0, up to 240")
    bags = find_bags(args.bags)
    if args.out is not None and args.out.suffix == SUFFIX and len(bags) > 1:
        raise UsageError(f"{args.out} is one file for {len(bags)} bags", "Give a folder")
    above = os.path.commonpath(
        [bag.absolute().parent for bag in bags]
    )  # bags of one name in several folders stay apart
    for bag in tqdm(bags, unit="bag", disable=len(bags) < 2):
        out = args.out
        if out is not None and out.suffix != SUFFIX:
            out = out / bag.absolute().parent.relative_to(above)
        for path in write_videos(bag, out, fps=args.fps, cameras=args.camera):
            tqdm.write(str(path))
    return 0
