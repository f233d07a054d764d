"""The MP4: readable by any player, the right length, with what it must show."""

import av
import numpy as np
import pytest

from clad.eval.video import BAR, HOLD_SECONDS, compose, write_video


def frames(count, size=128):
    for i in range(count):
        left = np.zeros((size, size, 3), np.uint8)
        left[:, :, 0] = 10 * i
        yield i, {"agentview": left, "wrist": np.full((size, size, 3), 200, np.uint8)}


def decode(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return (
            stream.codec_context.name,
            float(stream.average_rate),
            [f.to_ndarray(format="rgb24") for f in container.decode(video=0)],
        )


def test_an_episode_becomes_h264_with_the_outcome_in_its_colour(tmp_path):
    path = tmp_path / "videos" / "a.mp4"
    write_video(path, frames(20), fps=20.0, instruction="pick up the book and put it away", outcome="success")
    codec, rate, pictures = decode(path)
    assert (codec, rate) == ("h264", 20.0)
    assert len(pictures) == 19 + round(HOLD_SECONDS * 20)
    assert pictures[0].shape == (256 + BAR, 512, 3)
    assert abs(int(pictures[10][100, 100, 0]) - 100) < 12 and abs(int(pictures[10][100, 400, 1]) - 200) < 12
    caption = pictures[-1][256:].astype(int)
    assert caption[:22].max() > 180  # the instruction, in light letters
    green = (caption[:, :, 1] - caption[:, :, 0]).max()
    assert green > 60  # the outcome, at the end only
    early = pictures[5][256:].astype(int)
    assert (early[:, :, 1] - early[:, :, 0]).max() < 40


def test_small_and_odd_pictures_are_enlarged_to_even_ones():
    frame = {"a": np.arange(27, dtype=np.uint8).reshape(3, 3, 3), "b": np.zeros((3, 3, 3), np.uint8)}
    picture = compose(frame)
    assert picture.shape[0] >= 256 and picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    assert picture[0, 0].tolist() == frame["a"][0, 0].tolist()
    assert compose({"a": np.zeros((301, 401, 3), np.uint8)}).shape == (300, 400, 3)


def test_fewer_frames_than_control_steps(tmp_path):
    """Lock-step publishes a picture a chunk: at 20 Hz and six steps a chunk that is 3.33 frames a second."""
    write_video(tmp_path / "a.mp4", frames(3), fps=20 / 6, instruction="x", outcome="timeout")
    _, rate, pictures = decode(tmp_path / "a.mp4")
    assert rate == pytest.approx(20 / 6, rel=1e-3) and len(pictures) == 2 + 5


def test_no_frames(tmp_path):
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "a.mp4", [], fps=20.0, instruction="x", outcome="timeout")
