"""The decisionnce encoder: a CLIP ResNet checkpoint, DecisionNCE's or OpenAI's, written as an encoder directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F

from clad.encoders.clip import Clip
from clad.encoders.clip_checkpoint import load_clip
from clad.encoders.clip_tokenizer import clip_tokenizer
from clad.encoders.encoder import TEXT, TOKENIZER, VISION, Encoder
from clad.errors import CladError
from clad.export.encoder import finish_encoder
from clad.export.graph import relative_error, require_parity, sha256_of, write_graph

FEATURE = "embedding"
SENTENCES = ("put the black bowl on the plate", "turn on the stove", "close the drawer and the microwave")


class ImageGraph(nn.Module):
    """The vision file: uint8 rgb (B, H, W, 3) of any size -> (B, embedding), as trained, not normalised."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.clip.image(images)


class TextGraph(nn.Module):
    """The text file: int64 token ids (1, T) -> (1, embedding) of unit length, as every encoder gives it."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.clip.text(tokens), dim=-1)


def check_checkpoint(path: Path) -> str:
    """Load a checkpoint and run both towers; returns one line on what it is. Raises CladError as load_clip does."""
    clip = load_clip(path)
    tokenizer = _tokenizer(clip, path)
    with torch.no_grad():
        embeddings = torch.cat([clip.image(_pictures(128, 128)), *(clip.text(_ids(tokenizer, s)) for s in SENTENCES)])
    if not embeddings.isfinite().all():
        raise CladError(f"{path}: embeddings are not finite", "The weights are damaged: fetch the checkpoint again")
    config, parameters = clip.config, sum(p.numel() for p in clip.parameters())
    return (
        f"CLIP ResNet {'-'.join(map(str, config.vision_layers))} of width {config.vision_width}, "
        f"{config.image_size} px, {config.text_layers} text layers of width {config.text_width}, embeddings of "
        f"{config.embedding}; {parameters:,} parameters in {len(clip.state_dict())} tensors, all used, none missing"
    )


def export_decisionnce(checkpoint: Path, out: Path) -> dict:
    """Write the encoder of a checkpoint into `out`; returns its sidecar, with the parity measured.

    The encoder is named after the folder (`encoder-NAME`), which is where a model looks for it. Raises CladError when
    the checkpoint is not usable or the exported graphs stray from torch.
    """
    clip = load_clip(checkpoint)
    tokenizer = _tokenizer(clip, checkpoint)
    out.mkdir(parents=True, exist_ok=True)
    write_graph(
        ImageGraph(clip),
        [_pictures(128, 160)],
        out / VISION,
        inputs={"images": {0: "batch", 1: "height", 2: "width"}},
        outputs=[FEATURE],
    )
    write_graph(
        TextGraph(clip),
        [_ids(tokenizer, SENTENCES[0])],
        out / TEXT,
        inputs={"tokens": {1: "length"}},
        outputs=["sentence"],
    )
    tokenizer.save(str(out / TOKENIZER))
    weights = f"{checkpoint.name} ({sha256_of(checkpoint)})"
    return finish_encoder(
        out,
        out.resolve().name.removeprefix("encoder-"),
        vision={"outputs": {FEATURE: clip.config.embedding}, "weights": weights},
        text={"dim": clip.config.embedding, "max_tokens": clip.config.context, "weights": weights},
        check=lambda encoder: _parity(encoder, clip, tokenizer),
    )


def _ids(tokenizer: Tokenizer, text: str) -> torch.Tensor:
    return torch.tensor([tokenizer.encode(text).ids])


def _tokenizer(clip: Clip, path: Path) -> Tokenizer:
    """CLIP's tokenizer. Raises CladError when the checkpoint has another number of tokens."""
    tokenizer = clip_tokenizer(clip.config.context)
    if tokenizer.get_vocab_size() != clip.config.vocabulary:
        raise CladError(
            f"{path} knows {clip.config.vocabulary} tokens, CLIP's vocabulary has {tokenizer.get_vocab_size()}",
            "It was trained with another tokenizer and cannot be used",
        )
    return tokenizer


def _pictures(height: int, width: int) -> torch.Tensor:
    """Two seeded pictures."""
    return torch.from_numpy(np.random.default_rng(height).integers(0, 256, (2, height, width, 3), dtype=np.uint8))


def _parity(encoder: Encoder, clip: Clip, tokenizer: Tokenizer) -> dict[str, float]:
    """Seeded comparison with torch; raises CladError when the graphs are not what was exported."""
    images = _pictures(240, 320)  # of another size than the example that was exported
    with torch.no_grad():
        reference = clip.image(images).numpy()
        sentences = [TextGraph(clip)(_ids(tokenizer, s)).numpy()[0] for s in SENTENCES]
    parity = {
        FEATURE: relative_error(encoder.images(images.numpy())[FEATURE], reference),
        "text": max(relative_error(encoder.text(s), r) for s, r in zip(SENTENCES, sentences, strict=True)),
    }
    for name, error in parity.items():
        require_parity(name, error)
    return parity
