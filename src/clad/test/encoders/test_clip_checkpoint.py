"""Checkpoints in every published wrapping load to the same weights; what is not one is refused, and never run."""

import argparse
import hashlib

import pytest
import torch
from safetensors.torch import save_file
from tiny_clip import TINY, tiny_clip, tiny_state

from clad.encoders import clip_checkpoint
from clad.encoders.clip_checkpoint import load_clip
from clad.errors import CladError


@pytest.fixture(scope="module")
def state():
    return tiny_state()


def decisionnce(state: dict[str, torch.Tensor]) -> dict:
    """As DecisionNCE's training script saves it: prefixed, counters of batch normalisation, optimiser, command line."""
    counters = {
        name.replace("running_mean", "num_batches_tracked"): torch.tensor(7) for name in state if "running_mean" in name
    }
    return {
        "model": {f"model.{name}": value for name, value in {**state, **counters}.items()},
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-5}]},
        "epoch": 3,
        "args": argparse.Namespace(model="RN50", lr=1e-5),
    }


WRAPPINGS = {
    "plain.pt": lambda state, path: torch.save(state, path),
    "nested.pt": lambda state, path: torch.save({"model": state}, path),
    "decisionnce.pth": lambda state, path: torch.save(decisionnce(state), path),
    "old.pt": lambda state, path: torch.save(decisionnce(state), path, _use_new_zipfile_serialization=False),
    "plain.safetensors": save_file,
    "prefixed.safetensors": lambda state, path: save_file({f"model.{n}": v for n, v in state.items()}, path),
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_every_wrapping(name, state, tmp_path):
    WRAPPINGS[name](state, tmp_path / name)
    clip = load_clip(tmp_path / name)
    assert clip.config == TINY and not clip.training
    loaded = clip.state_dict()
    assert loaded.keys() == state.keys() and all(torch.equal(loaded[n], state[n]) for n in state)
    assert not any(p.requires_grad for p in clip.parameters())


def test_half_precision_becomes_float32(state, tmp_path):
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "half.safetensors")
    for name, value in load_clip(tmp_path / "half.safetensors").state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, state[name], rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_torchscript_only_where_it_is_known(state, tmp_path, monkeypatch):
    """OpenAI's RN50.pt is a TorchScript archive, a program: only the published file is opened."""
    clip = tiny_clip()
    for name in ("input_resolution", "context_length", "vocab_size"):  # as that archive has them
        clip.register_buffer(name, torch.tensor(64))
    file = tmp_path / "RN50.pt"
    torch.jit.trace_module(clip, {"text": torch.tensor([[49406, 320, 49407]])}).save(str(file))
    with pytest.raises(CladError, match="is a TorchScript archive .* not OpenAI RN50.pt"):
        load_clip(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(clip_checkpoint.TRUSTED_ARCHIVES, digest, "this test's")
    loaded = load_clip(file).state_dict()
    assert loaded.keys() == state.keys() and all(torch.equal(loaded[n], state[n]) for n in state)


def without(*names: str):
    return lambda state: {name: value for name, value in state.items() if name not in names}


FIRST, SECOND = "visual.layer2.0.bn2.running_var", "visual.layer3.0.conv1.weight"
DAMAGE = {
    rf"lacks tensor '{FIRST}' \(2 such\)": without(FIRST, SECOND),
    "lacks tensor 'transformer.resblocks.1.ln_2.bias'": without("transformer.resblocks.1.ln_2.bias"),
    "lacks tensor 'token_embedding.weight', so it is no CLIP": without("token_embedding.weight"),
    r"has an unknown tensor 'head.weight' \(1 such\)": lambda s: {**s, "head.weight": torch.zeros(3)},
    "'ln_final.bias' is 7, not 64": lambda s: {**s, "ln_final.bias": torch.zeros(7)},
    "'text_projection' is 3, not of 2 dimensions": lambda s: {**s, "text_projection": torch.zeros(3)},
    "'logit_scale' has values that are not finite": lambda s: {**s, "logit_scale": torch.tensor(torch.nan)},
    "vision transformer, not a ResNet": lambda s: {**s, "visual.class_embedding": torch.zeros(768)},
    "holds no state dict": lambda s: {"model": {"weights": [1, 2]}},
    "a text width of 3 is no multiple of 64": lambda s: {**s, "token_embedding.weight": torch.zeros(49408, 3)},
}


@pytest.mark.parametrize("message", DAMAGE)
def test_what_is_wrong_is_named(message, state, tmp_path):
    torch.save(DAMAGE[message](state), tmp_path / "c.pt")
    with pytest.raises(CladError, match=message):
        load_clip(tmp_path / "c.pt")


class Payload:
    """Runs code when an ordinary unpickler reads it."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self):
        return exec, (f"open({self.marker!r}, 'w').close()",)


def test_code_in_a_checkpoint_is_not_run(state, tmp_path):
    torch.save({"model": state, "extra": Payload(str(tmp_path / "ran"))}, tmp_path / "c.pt")
    with pytest.raises(CladError, match="cannot be read"):
        load_clip(tmp_path / "c.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["c.pt", "c.safetensors"])
def test_truncated_and_absent_files(name, state, tmp_path):
    (torch.save if name.endswith("pt") else save_file)(state, tmp_path / name)
    with open(tmp_path / name, "r+b") as file:
        file.truncate(1_000_000)
    with pytest.raises(CladError, match=f"{name} cannot be read"):
        load_clip(tmp_path / name)
    with pytest.raises(CladError, match="does not exist"):
        load_clip(tmp_path / "absent.pt")
