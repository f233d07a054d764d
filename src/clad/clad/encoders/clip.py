"""CLIP with a ResNet image tower (RN50 class), as OpenAI published it and DecisionNCE fine-tuned it. Needs torch.

For inference only: parameters carry no gradient and normalisation uses stored statistics. Attributes are named so that
`state_dict()` has the published keys. Sizes are not fixed: `clip_checkpoint.py` reads them from a checkpoint.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

HEAD_DIM = 64  # of every attention in CLIP
STRIDE = 32  # image pixels per cell of the last feature map
EXPANSION = 4  # a bottleneck's output channels per inner channel
MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training images, rgb in 0..1
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipConfig:
    """Sizes of one CLIP; the defaults are RN50's.

    embedding: length of an image's and of a sentence's embedding. image_size: pixels, a multiple of 32. context: tokens
    of a sentence, its two markers included. Widths are multiples of 64 (vision_width * 32 is the last map's channels).
    """

    embedding: int = 1024
    image_size: int = 224
    vision_layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    vision_width: int = 64
    context: int = 77
    vocabulary: int = 49408
    text_width: int = 512
    text_layers: int = 12


class Clip(nn.Module):
    """Both towers. `image(uint8 (B, H, W, 3))` and `text(int64 (B, T))` -> (B, embedding) float32, not normalised."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.visual = ImageTower(config)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(TextBlock(config.text_width) for _ in range(config.text_layers))
        self.token_embedding = nn.Embedding(config.vocabulary, config.text_width)
        self.positional_embedding = nn.Parameter(torch.randn(config.context, config.text_width) * 0.01)
        self.ln_final = nn.LayerNorm(config.text_width)
        self.text_projection = nn.Parameter(torch.randn(config.text_width, config.embedding) * config.text_width**-0.5)
        self.logit_scale = nn.Parameter(torch.zeros(()))  # of the contrastive loss; no embedding depends on it
        self.requires_grad_(False)

    def image(self, images: torch.Tensor) -> torch.Tensor:
        """Embeddings of uint8 rgb images of any size, row 0 at the top: (B, H, W, 3) -> (B, embedding)."""
        return self.visual(preprocess(images, self.config.image_size))

    def text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embeddings of sentences without padding, the end marker last: (B, T <= context) -> (B, embedding).

        Attention looks back only, so that the padding which other code appends changes nothing before it.
        """
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        for block in self.transformer.resblocks:
            x = block(x)
        return self.ln_final(x[:, -1]) @ self.text_projection


def preprocess(images: torch.Tensor, size: int) -> torch.Tensor:
    """CLIP's input: shorter side resized to `size` pixels, bicubic as Pillow does it, centre-cropped, standardised.

    uint8 (B, H, W, 3) -> float32 (B, 3, size, size). Two matrix products, because ONNX's own Resize knows Pillow's
    filter only with attributes that not every provider implements. Pillow also rounds to 8 bits after either pass.
    """
    x = images.permute(0, 3, 1, 2).float()
    # pixel centres; from them, not from x.shape, come the sides: the exporter would fix a number taken from a shape
    centres = [torch.arange(side) + 0.5 for side in x.shape[-2:]]
    shorter = torch.minimum(*(c[-1] + 0.5 for c in centres))
    rows, columns = (_resampling(c, torch.floor((c[-1] + 0.5) * size / shorter), size) for c in centres)
    x = (x @ columns.T).clamp(0, 255)
    x = (rows @ x).clamp(0, 255) / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    return (x - mean) / std


def _resampling(source: torch.Tensor, target: torch.Tensor, crop: int) -> torch.Tensor:
    """The middle `crop` rows of the matrix that resamples a side to `target` pixels: (crop, n).

    source: (n,) the side's pixel centres. Weights are Keys' cubic, a = -1/2, widened when shrinking so that it averages
    over what falls together.
    """
    scale = (source[-1] + 0.5) / target
    centre = (torch.arange(crop) + 0.5 + torch.floor((target - crop) / 2)) * scale
    distance = (source - centre[:, None]).abs() / scale.clamp(min=1)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    return weights / weights.sum(1, keepdim=True)


class StoredNorm(nn.Module):
    """Batch norm by stored statistics. (nn.BatchNorm2d also keeps a batch counter, which not all files have.)"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class Bottleneck(nn.Module):
    """Residual block 1x1, 3x3, 1x1; a stride is an average pool, so that no pixel goes unseen."""

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = inner * EXPANSION
        self.conv1, self.bn1 = _conv(inputs, inner, 1), StoredNorm(inner)
        self.conv2, self.bn2 = _conv(inner, inner, 3), StoredNorm(inner)
        self.conv3, self.bn3 = _conv(inner, outputs, 1), StoredNorm(outputs)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                OrderedDict([("pool", self.pool), ("0", _conv(inputs, outputs, 1)), ("1", StoredNorm(outputs))])
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.pool(F.relu(self.bn2(self.conv2(y))))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class AttentionPool(nn.Module):
    """The map's mean asks, all cells and the mean answer: (B, C, h, w) -> (B, embedding)."""

    def __init__(self, cells: int, channels: int, embedding: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(cells + 1, channels) * channels**-0.5)
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, channels) for _ in range(3))
        self.c_proj = nn.Linear(channels, embedding)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        x = maps.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], dim=1) + self.positional_embedding
        return self.c_proj(_attend(self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x))[:, 0])


class ImageTower(nn.Module):
    """ResNet with three convolutions as stem, attention in place of the last pool: (B, 3, S, S) -> (B, embedding)."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.vision_width
        self.conv1, self.bn1 = _conv(3, width // 2, 3, stride=2), StoredNorm(width // 2)
        self.conv2, self.bn2 = _conv(width // 2, width // 2, 3), StoredNorm(width // 2)
        self.conv3, self.bn3 = _conv(width // 2, width, 3), StoredNorm(width)
        inputs = width
        for index, count in enumerate(config.vision_layers):
            inner, blocks = width * 2**index, []
            for block in range(count):
                blocks.append(Bottleneck(inputs, inner, stride=2 if index and not block else 1))
                inputs = inner * EXPANSION
            setattr(self, f"layer{index + 1}", nn.Sequential(*blocks))
        self.attnpool = AttentionPool((config.image_size // STRIDE) ** 2, inputs, config.embedding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = F.relu(norm(conv(x)))
        x = F.avg_pool2d(x, 2)
        return self.attnpool(self.layer4(self.layer3(self.layer2(self.layer1(x)))))


class TextBlock(nn.Module):
    """Pre-norm transformer block that looks back only: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = CausalAttention(width)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        hidden = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](hidden * torch.sigmoid(1.702 * hidden))  # CLIP's approximation of GELU


class CausalAttention(nn.Module):
    """Multi-head self-attention, each token over itself and those before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * width**-0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        return self.out_proj(_attend(query, key, value, causal=True))


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool = False) -> torch.Tensor:
    """Scaled dot-product attention in heads of 64: (B, Tq, C), (B, T, C), (B, T, C) -> (B, Tq, C)."""
    heads = [x.unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2) for x in (query, key, value)]
    return F.scaled_dot_product_attention(*heads, is_causal=causal).transpose(1, 2).flatten(2)
