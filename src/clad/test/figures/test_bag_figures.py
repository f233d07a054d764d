"""Pictures made from bags alone: their numbers against closed forms, their panels, and what a bag may lack."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_session import MS, TAU, WALL, session, write_bag

from clad.cli.main import main
from clad.figures import canvas, joints, rollouts
from clad.figures.episodes import read_episodes

SIZE = 8


def with_pictures(stream, cameras=("agentview", "wrist")):
    """Beside each foresight a picture of one grey: ten times its step, of the wrist one more."""
    for topic, kind, published, message in stream:
        if topic == "/latent_foresight":
            for brighter, camera in enumerate(cameras):
                grey = bytes([10 * message["step"] + brighter]) * (3 * SIZE * SIZE)
                picture = {"header": message["header"], "height": SIZE, "width": SIZE, "encoding": "rgb8",
                           "is_bigendian": 0, "step": 3 * SIZE, "data": grey}  # fmt: skip
                yield f"/{camera}/image_raw", "sensor_msgs/msg/Image", published, picture
        yield topic, kind, published, message


def foresights_with(stream, **fields):
    for topic, kind, published, message in stream:
        yield topic, kind, published, message | fields if topic == "/latent_foresight" else message


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    monkeypatch.setattr(canvas, "save", lambda figure, out: figures.append(figure))
    return figures


def test_errors_are_those_that_the_episode_was_made_with(tmp_path):
    (episode,) = read_episodes(write_bag(tmp_path / "bag", session(steps=12)))
    foreseen, still, n = joints.errors(episode)
    assert n == 5  # foresights at 0, 2 .. 10; that of 10 speaks of 12, which nobody saw
    wrong, moved = np.zeros(14), np.zeros(14)
    wrong[1], wrong[2], moved[0] = 0.003, 0.004, 0.02  # see tiny_session
    np.testing.assert_allclose(foreseen, wrong, atol=1e-7)
    np.testing.assert_allclose(still, moved, atol=1e-7)


@settings(max_examples=15)
@given(st.sets(st.integers(0, 9).map(lambda k: 2 * k)))
def test_a_foresight_is_held_against_what_was_seen_tau_later_and_nothing_else(tmp_path_factory, lost):
    seen = [step for step in range(0, 20, 2) if step not in lost]
    expected = sum(step + TAU in seen for step in seen)
    bag = write_bag(tmp_path_factory.mktemp("bag") / "bag", session(steps=20, skipped=lost))
    if not seen or not expected:
        return
    foreseen, _, n = joints.errors(read_episodes(bag)[0])
    assert n == expected
    np.testing.assert_allclose(foreseen[[0, 1, 2]], [0, 0.003, 0.004], atol=1e-7)


def test_a_panel_a_joint_and_whiskers_from_now_to_tau_later(tmp_path, drawn):
    bag = write_bag(tmp_path / "bag", session(steps=12))
    assert main(["figure", "joints", str(bag), "--out", str(tmp_path / "joints.png")]) == 0
    *panels, bars = drawn[0].axes
    assert len(panels) == 7 and [p.get_ylabel() for p in panels][0] == "robot0_joint1, rad"
    measured, *whiskers = panels[0].get_lines()[:7]
    np.testing.assert_allclose(measured.get_xydata(), [(0.05 * s, 0.01 * s) for s in range(0, 12, 2)], atol=1e-6)
    for step, whisker in zip(range(0, 12, 2), whiskers, strict=True):
        expected = [(0.05 * step, 0.01 * step), (0.05 * (step + TAU), 0.01 * (step + TAU))]
        np.testing.assert_allclose(whisker.get_xydata(), expected, atol=1e-6)
    assert panels[1].get_title() == "RMSE 3.0 mrad, of standing still 0.0"
    assert bars.patches[0].get_width() == pytest.approx(0.0, abs=1e-6) and len(bars.patches) == 7
    assert "n = 5" in drawn[0].get_suptitle() and "tiny@1" in drawn[0].get_suptitle()


def test_the_picture_is_a_png(tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", with_pictures(session(steps=12)))
    for name in ("joints", "rollouts"):
        out = tmp_path / f"{name}.png"
        assert main(["figure", name, str(bag), "--out", str(out)]) == 0
        assert Image.open(out).size[0] > 1000 and str(out) in capsys.readouterr().out
    assert main(["figure", "joints", str(bag), "--out", "x.jpg"]) == 1
    assert "x.jpg' is no PNG" in capsys.readouterr().err


def test_a_sheet_has_each_moment_as_every_camera_saw_it(tmp_path, drawn):
    bag = write_bag(tmp_path / "bag", with_pictures(session(steps=20)))
    (rollout,) = rollouts.read_rollouts([bag], columns=6)
    np.testing.assert_allclose(rollout.moments, np.linspace(0, 1.0, 6))  # 20 steps of 50 ms
    steps = [min(range(0, 20, 2), key=lambda step: abs(0.05 * step - t)) for t in rollout.moments]
    for camera, brighter in (("agentview", 0), ("wrist", 1)):
        shown = [set(np.unique(picture)) for picture in rollout.pictures[camera]]
        assert shown == [{10 * step + brighter} for step in steps]
    rollouts.draw([rollout], tmp_path / "x.png")
    assert [len(axes.images) for axes in drawn[0].axes].count(1) == 12
    strip = next(axes for axes in drawn[0].axes if axes.get_ylabel() == "joints, mrad")
    still, foreseen = strip.get_lines()
    np.testing.assert_allclose(still.get_ydata(), 20.0, atol=1e-3)
    np.testing.assert_allclose(foreseen.get_ydata(), 5.0, atol=1e-3)  # 3 and 4 mrad
    cosine, stays = next(axes for axes in drawn[0].axes if axes.get_ylabel() == "cosine").get_lines()
    np.testing.assert_allclose(cosine.get_ydata(), 1.0, atol=1e-6)
    np.testing.assert_allclose(stays.get_ydata(), np.cos(0.2), atol=1e-6)


def test_a_bag_of_several_episodes_is_several_rows_each_with_its_own_pictures(tmp_path, drawn):
    later = {"start": 20_000 * MS, "wall": WALL + 15_000 * MS}
    streams = [*with_pictures(session(1, steps=12)), *with_pictures(session(2, steps=8, outcome=3, **later))]
    bag = write_bag(tmp_path / "bag", streams)
    first, second = rollouts.read_rollouts([bag], columns=3)
    assert [np.unique(p).tolist() for p in first.pictures["agentview"]] == [[0], [60], [100]]
    assert [np.unique(p).tolist() for p in second.pictures["agentview"]] == [[0], [40], [60]]
    rollouts.draw([first, second], tmp_path / "x.png")
    words = [text.get_text() for axes in drawn[0].axes for text in axes.texts]
    assert "✓ success" in words and "✗ timeout" in words
    assert "1 of 2 episodes shown succeeded" in drawn[0].get_suptitle()


@pytest.mark.parametrize(
    ("stream", "sentence"),
    [
        ([m for m in session() if m[0] != "/latent_foresight"], "has no /latent_foresight: nothing was foreseen"),
        (foresights_with(session(), proprio_measured=[]), "an older clad recorded them. Record it again"),
        (foresights_with(session(), proprio_predicted=[]), "does not say where the joints will be"),
        (session(steps=2), "has an observation 0.1 s later"),
        (
            foresights_with(session(), proprio_measured=[0.0] * 5, proprio_predicted=[0.0] * 5),
            "no proprio variant has 5",
        ),
    ],
)
def test_what_a_bag_lacks_is_said_in_a_sentence(stream, sentence, tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", stream)
    assert main(["figure", "joints", str(bag), "--out", str(tmp_path / "x.png")]) == 1
    assert sentence in capsys.readouterr().err


def test_episodes_and_pictures_that_are_not_there(tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", session())
    assert main(["figure", "joints", str(bag), "--episode", "9", "--out", str(tmp_path / "x.png")]) == 2
    assert "no foresights of episode 9. It has those of 1" in capsys.readouterr().err
    assert main(["figure", "rollouts", str(bag), "--out", str(tmp_path / "x.png")]) == 1
    assert "has no pictures: /agentview/image_raw, /wrist/image_raw" in capsys.readouterr().err


def test_a_recording_that_breaks_off_is_shown_up_to_there(tmp_path, drawn, capsys):
    bag = write_bag(tmp_path / "bag", with_pictures(session(steps=12)))
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    assert main(["figure", "rollouts", str(bag), "--out", str(tmp_path / "x.png")]) == 0
    assert "cut off" in capsys.readouterr().err
    assert "✗ cut off" in [text.get_text() for axes in drawn[0].axes for text in axes.texts]
