"""Videos of recordings: when things happened, what is said below, several episodes, cut bags, cameras of any kind."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
import tiny_bag
from PIL import Image
from tiny_bag import CONTRACT, LOOK, PERIOD, START, STEPS, TIMEOUT, data, messages, moved, write_bag

from clad.bag.frames import find_shots, header_stamp, moments
from clad.bag.reader import read_messages
from clad.bag.video import words, write_videos
from clad.cli.main import main
from clad.errors import CladError, UsageError

CAMERA = "/agentview/image_raw"


def the_moments(bag, fps=20.0, cameras=None):
    (shot,) = find_shots(bag, cameras)
    return shot, list(moments(bag, shot, fps))


def shown_at(d, time: float) -> np.ndarray:
    """The picture that was newest at a time, by its own definition: one every LOOK steps, and one at the end."""
    steps = [t for t in range(STEPS + 1) if t % LOOK == 0 or t == STEPS]
    return d.images["agentview"][max(t for t in steps if t * PERIOD <= round(time * 1e9))]


@pytest.mark.parametrize("fps", [20.0, 7.0, 60.0])
def test_pictures_stand_where_their_stamps_are(tmp_path, fps):
    d = data(seed=1)
    shot, found = the_moments(write_bag(tmp_path / "bag", messages(d)), fps)
    assert (shot.instruction, shot.outcome) == ("put it away", "success")
    assert [m.time for m in found] == pytest.approx([k / fps for k in range(len(found))])
    assert len(found) == pytest.approx(STEPS * PERIOD * 1e-9 * fps, abs=1) or found[-1].time >= STEPS * PERIOD * 1e-9
    for moment in found[:-1]:  # before the last picture
        np.testing.assert_array_equal(moment.pictures[CAMERA], shown_at(d, moment.time))
    np.testing.assert_array_equal(found[-1].pictures[CAMERA], d.images["agentview"][STEPS])


def test_the_order_in_the_bag_does_not_matter(tmp_path):
    stream = list(messages(data()))
    pictures = [m for m in stream if m[0] == CAMERA]
    late = [m for m in stream if m[0] != CAMERA] + pictures  # within the half second that is waited
    _, expected = the_moments(write_bag(tmp_path / "a", stream))
    _, found = the_moments(write_bag(tmp_path / "b", late))
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert (a.time, a.step, a.held) == (b.time, b.step, b.held)
        np.testing.assert_array_equal(a.pictures[CAMERA], b.pictures[CAMERA])


def test_held_steps_are_told(tmp_path):
    _, found = the_moments(write_bag(tmp_path / "bag", messages(data(), holds={3, 4})))
    assert [m.step for m in found] == [*range(STEPS), STEPS - 1]
    assert [m.held for m in found] == [0, 0, 0, 1, 2, 2, 2, 2, 2]
    assert words(found[4]) == "0.20 s   step 4   held 2   holds: no reason given"
    assert words(found[5]) == "0.25 s   step 5   held 2"
    assert words(found[0]) == "0.00 s   step 0"


def test_a_long_recording_becomes_a_video_an_episode(tmp_path, capsys):
    stream = [
        *messages(data(1), outcome=TIMEOUT, episode=1),
        *moved(messages(data(2), episode=2), 5 * 10**9),
        *moved(messages(data(3), outcome=tiny_bag.RUNNING, episode=3), 10 * 10**9),
    ]
    bag = write_bag(tmp_path / "long", stream)
    shots = find_shots(bag)
    assert [(s.episode, s.outcome) for s in shots] == [(1, "timeout"), (2, "success"), (3, "cut off")]
    assert [len(list(moments(bag, shot, 20.0))) for shot in shots] == [STEPS + 1] * 3
    assert main(["bag", "video", str(bag), "--out", str(tmp_path / "videos")]) == 0
    names = sorted(path.name for path in (tmp_path / "videos").iterdir())
    assert names == ["long-1.mp4", "long-2.mp4", "long-3.mp4"]
    with pytest.raises(UsageError, match="3 episodes"):
        list(write_videos(bag, tmp_path / "one.mp4", fps=20))
    d = data(2)
    np.testing.assert_array_equal(next(moments(bag, shots[1], 20.0)).pictures[CAMERA], d.images["agentview"][0])


def test_a_cut_bag_is_shown_up_to_the_cut(tmp_path):
    bag = write_bag(tmp_path / "bag", messages(data()))
    (file,) = bag.glob("*.mcap")
    whole = file.read_bytes()
    lengths = set()
    for cut in np.linspace(len(whole) // 4, len(whole), 12, dtype=int):
        file.write_bytes(whole[:cut])
        try:
            shots = find_shots(bag)
        except CladError as error:
            assert "no pictures" in str(error)
            continue
        for shot in shots:
            lengths.add(len(list(moments(bag, shot, 20.0))))
    assert max(lengths) == STEPS + 1


def test_a_recording_with_pictures_only(tmp_path):
    """Compressed, of two sizes, without a word on episodes: any driver's."""

    def stream():
        for t in range(5):
            for topic, size in (("/a/compressed", (24, 32)), ("/b/compressed", (12, 16))):
                file = io.BytesIO()
                Image.fromarray(np.full((*size, 3), 40 * t, np.uint8)).save(file, "PNG")
                message = {"header": tiny_bag.header(START + t * 10**8), "format": "png", "data": file.getvalue()}
                yield topic, "sensor_msgs/msg/CompressedImage", message

    bag = write_bag(tmp_path / "theirs", stream(), metadata={})
    (path,) = write_videos(bag, None, fps=10.0)
    assert path == tmp_path / "theirs.mp4"
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert frames[0].shape[1] == 2 * 32 * 11  # as wide as the larger one twice, enlarged to 256 pixels' height
    assert [round(f[100, 100].mean() / 40) for f in frames[:5]] == [0, 1, 2, 3, 4]
    assert list(tmp_path.glob(".*.mp4")) == []


def test_a_drivers_own_pictures_beside_the_robots_are_left_out(tmp_path):
    raw = [(f"/driver{t}", k, m) for t, k, m in messages(data()) if k == "sensor_msgs/msg/Image"]
    bag = write_bag(tmp_path / "bag", [*messages(data()), *raw])
    (shot,) = find_shots(bag)
    assert shot.cameras == {f"/{camera}/image_raw" for camera in CONTRACT.cameras}
    (shot,) = find_shots(bag, ["/driver/wrist/image_raw"])
    assert shot.cameras == {"/driver/wrist/image_raw"}


def test_stamps_are_read_without_decoding(tmp_path):
    for item in read_messages(write_bag(tmp_path / "bag", messages(data())), [CAMERA]):
        stamp = item.message.header.stamp
        assert header_stamp(item.data) == stamp.sec * 10**9 + stamp.nanosec


def test_bad_requests_say_what_to_do(tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", messages(data()))
    for arguments, said in (
        ([str(bag), "--fps", "0"], "--fps 0"),
        ([str(bag), "--camera", "/nothing"], "no pictures on /nothing"),
        ([str(tmp_path / "absent")], "does not exist"),
    ):
        assert main(["bag", "video", *arguments]) != 0
        assert said in capsys.readouterr().err
