"""MP4s of a recording, an episode each: what its cameras saw, when they saw it, and what the robot was doing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from clad.bag.frames import Moment, Shot, find_shots, moments
from clad.errors import UsageError
from clad.eval.video import write_video

SUFFIX = ".mp4"


def write_videos(bag: Path, out: Path | None, *, fps: float, cameras: Collection[str] | None = None) -> Iterator[Path]:
    """Write a video of every episode in the bag and give its path; one picture of each camera is held at a time.

    out: a folder, or an .mp4 file where the bag has one episode; None: beside the bag. cameras: topics; None: all.
    A video appears under its name only when it is whole. Raises UsageError when one file is to hold several episodes,
    CladError when there are no pictures, or some that cannot be read.
    """
    shots = find_shots(bag, cameras)
    is_file = out is not None and out.suffix == SUFFIX
    if is_file and len(shots) > 1:
        raise UsageError(f"{bag} has {len(shots)} episodes, {out} is one file", "Give a folder")
    folder = bag.absolute().parent if out is None else out
    for shot in shots:
        several = f"-{shot.episode}" if len(shots) > 1 else ""
        path = out if is_file else folder / f"{bag.name.removesuffix('.mcap')}{several}{SUFFIX}"
        part = path.with_name(f".{path.name}")
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_video(part, _frames(bag, shot, fps), fps=fps, instruction=shot.instruction, outcome=shot.outcome)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        yield path


def _frames(bag: Path, shot: Shot, fps: float) -> Iterator[tuple[str, Mapping[str, np.ndarray]]]:
    sizes: dict[str, tuple[int, int]] = {}
    for moment in moments(bag, shot, fps):
        if not sizes:
            height = next(iter(moment.pictures.values())).shape[0]  # the first camera's, so that all stand in a row
            for topic, image in moment.pictures.items():
                sizes[topic] = height, max(1, round(image.shape[1] * height / image.shape[0]))
        yield words(moment), {topic: _sized(image, *sizes[topic]) for topic, image in moment.pictures.items()}


def words(moment: Moment) -> str:
    """What stands below the picture."""
    held = f"   held {moment.held}" if moment.held else ""
    holding = f"   holds: {moment.holding}" if moment.holding else ""
    return f"{moment.time:.2f} s   step {moment.step}{held}{holding}"


def _sized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((width, height)))
