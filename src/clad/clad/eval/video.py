"""MP4 (H.264) of an episode: the cameras side by side, with the instruction, the step and the outcome drawn in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

LEAST_SIDE = 256  # pixels; smaller pictures are enlarged by a whole factor
BAR = 44  # pixels of caption below the pictures, even
OUTCOME_COLOURS = {"success": (90, 220, 110), "timeout": (240, 190, 70), "aborted": (240, 100, 90)}
HOLD_SECONDS = 1.5  # how long the last frame stays, so that the outcome can be read


def write_video(
    path: Path,
    frames: Iterable[tuple[int | str, Mapping[str, np.ndarray]]],
    *,
    fps: float,
    instruction: str,
    outcome: str,
) -> None:
    """Write `path` from pairs of a control step, or of words to stand below, and its pictures, in order.

    Pictures: camera -> (H, W, 3) uint8 rgb, row 0 at the top, the same cameras and size throughout. fps: pictures a second
    of the episode's own time. Raises ValueError when there is no frame.
    """
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream, last = None, None
        for step, pictures in frames:
            picture = compose(pictures)
            if last is None:
                stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
                stream.height, stream.width = picture.shape[0] + BAR, picture.shape[1]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": "20", "preset": "veryfast", "threads": "1"}
            else:  # one behind, because the outcome belongs on the last picture
                _encode(container, stream, _captioned(*last, instruction))
            last = picture, step
        if last is None:
            raise ValueError(f"no frames for {path}")
        final = _captioned(*last, instruction, outcome)
        for _ in range(max(1, round(HOLD_SECONDS * fps))):
            _encode(container, stream, final)
        for packet in stream.encode():
            container.mux(packet)


def compose(frame: Mapping[str, np.ndarray]) -> np.ndarray:
    """The cameras side by side in the mapping's order, enlarged to at least LEAST_SIDE high: (H, W, 3) uint8, even sides."""
    row = np.concatenate(list(frame.values()), axis=1)
    factor = max(1, -(-LEAST_SIDE // row.shape[0]))
    row = row.repeat(factor, axis=0).repeat(factor, axis=1)
    return row[: row.shape[0] // 2 * 2, : row.shape[1] // 2 * 2]  # yuv420p halves both sides


def _captioned(picture: np.ndarray, step: int | str, instruction: str, outcome: str = "") -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    height, width = picture.shape[:2]
    canvas = Image.new("RGB", (width, height + BAR), (20, 20, 24))
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(canvas)
    size = 15
    font = ImageFont.load_default(size)
    while size > 8 and draw.textlength(instruction, font) > width - 12:  # long instructions get smaller letters
        size -= 1
        font = ImageFont.load_default(size)
    draw.text((6, height + 4), instruction, (235, 235, 235), font)
    small = ImageFont.load_default(13)
    draw.text((6, height + 25), step if isinstance(step, str) else f"step {step}", (160, 160, 165), small)
    if outcome:
        draw.text((width - 6, height + 25), outcome, OUTCOME_COLOURS.get(outcome, (235, 235, 235)), small, anchor="ra")
    return np.asarray(canvas)


def _encode(container, stream, picture: np.ndarray) -> None:
    import av

    for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
        container.mux(packet)
