"""A checkpoint becomes an encoder that the rest of the stack takes like any other."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_clip import TINY, tiny_clip, tiny_state
from tiny_demos import write_reach_demos

from clad.cli.main import main
from clad.data.features import load_cache
from clad.encoders.clip import Clip, ClipConfig
from clad.encoders.encoder import Encoder
from clad.errors import CladError
from clad.export.encoder_decisionnce import export_decisionnce
from clad.model.config import load_config
from clad.train.prepare import prepare
from clad.train.team import Team

pytestmark = pytest.mark.timeout(600)  # seconds of work, but of CPU time that others may be using
KIND = ["export", "encoder", "--kind", "decisionnce"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_file(tiny_state(), file)
    return file


@pytest.fixture(scope="module")
def directory(checkpoint, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("models") / "encoder-tiny-clip"
    assert main([*KIND, "--checkpoint", str(checkpoint), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def encoder(directory):
    return Encoder(directory)


def test_sidecar(directory, encoder):
    body = json.loads((directory / "encoder.json").read_text())
    assert encoder.name == "tiny-clip"  # of its folder: where a model looks for it
    assert encoder.feature_dims == {"embedding": TINY.embedding} and encoder.text_dim == TINY.embedding
    assert body["vision"]["weights"].startswith("tiny.safetensors (")
    assert body["parity"].keys() == {"embedding", "text"} and max(body["parity"].values()) < 1e-5


@pytest.mark.parametrize("height, width", [(64, 64), (128, 128), (240, 320), (33, 20)])
def test_images_as_torch(encoder, height, width):
    images = np.random.default_rng(width).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    got = encoder.images(images)["embedding"]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, tiny_clip().image(torch.from_numpy(images)), atol=1e-5)
    np.testing.assert_allclose(encoder.images(images[1:2])["embedding"][0], got[1], atol=1e-5)


def test_text_as_torch(encoder):
    # "put the black bowl on the plate", ids from OpenAI's tokenizer
    text = tiny_clip().text(torch.tensor([[49406, 1983, 518, 1449, 3814, 525, 518, 5135, 49407]]))[0]
    got = encoder.text("put the black bowl on the plate")
    np.testing.assert_allclose(got, text / text.norm(), atol=1e-5)
    assert np.linalg.norm(got - encoder.text("turn on the stove")) > 0.01


def test_long_text_keeps_its_end_marker(encoder):
    ids = [49406, *[5135] * 18, 49407]  # 20 tokens in all, of thirty words
    text = tiny_clip().text(torch.tensor([ids]))[0]
    np.testing.assert_allclose(encoder.text("plate " * 30), text / text.norm(), atol=1e-5)


def test_features_reach_training_under_their_own_name(directory, tmp_path):
    write_reach_demos(tmp_path / "demos" / "reach_demo.hdf5", 3, length=8)
    cache = tmp_path / "features"
    arguments = ["--demos", str(tmp_path / "demos"), "--encoder", str(directory), "--out", str(cache)]
    assert main(["encode", *arguments]) == 0
    config = load_config("small", ["data.features=embedding"])
    prepared = prepare(cache, config, stage="planner", seed=0, blind=False, team=Team())
    assert prepared.info.dims.visual == 2 * TINY.embedding and prepared.info.dims.text == TINY.embedding
    with pytest.raises(CladError, match="keypoints. It has images.agentview.embedding"):
        load_cache(cache, ("agentview",), ("keypoints",))


def test_check_only(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*KIND, "--checkpoint", str(checkpoint), "--check-only"]) == 0
    said = capsys.readouterr().out
    assert "CLIP ResNet 1-2-1-1 of width 4, 64 px, 2 text layers" in said and "embeddings of 24;" in said
    assert "all used, none missing" in said and not list(tmp_path.iterdir())
    state = tiny_state()
    del state["ln_final.bias"]
    save_file(state, "damaged.safetensors")
    assert main([*KIND, "--checkpoint", "damaged.safetensors", "--check-only"]) == 1
    assert "lacks tensor 'ln_final.bias'" in capsys.readouterr().err


def test_another_vocabulary_is_refused(tmp_path):
    state = tiny_state()
    state["token_embedding.weight"] = state["token_embedding.weight"][:500].clone()
    save_file(state, tmp_path / "c.safetensors")
    with pytest.raises(CladError, match="knows 500 tokens, CLIP's vocabulary has 49408"):
        export_decisionnce(tmp_path / "c.safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_graph_that_strays_leaves_no_encoder(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("clad.export.encoder_decisionnce.relative_error", lambda value, reference: 1e-3)
    with pytest.raises(CladError, match="differs from torch"):
        export_decisionnce(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out" / "encoder.json").exists()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (KIND, "--checkpoint FILE"),
        (["export", "encoder", "--checkpoint", "x.pt"], "--kind decisionnce"),
        (["export", "--checkpoint", "x.pt"], "clad export encoder"),
        (["export", "encoder", "--kind", "decisionce"], "invalid choice"),
    ],
)
def test_usage(arguments, said, capsys):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_published_size():
    """102 million random numbers: checked, exported, equal to torch."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:  # 0.8 GB, which pytest's tmp_path would keep
        file, out = Path(folder) / "rn50.safetensors", Path(folder) / "encoder-rn50"
        save_file({name: value.half() for name, value in Clip(ClipConfig()).state_dict().items()}, file)
        sidecar = export_decisionnce(file, out)
        assert max(sidecar["parity"].values()) <= 1e-5
        encoder = Encoder(out)
        images = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3), dtype=np.uint8)
        assert encoder.images(images)["embedding"].shape == (1, 1024)
        assert encoder.text("turn on the stove").shape == (1024,)
        sizes = [(out / name).stat().st_size for name in ("vision.onnx", "text.onnx")]
        assert sum(sizes) < 1.02 * 4 * 102_007_137  # each graph holds its own tower alone
