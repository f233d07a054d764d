"""The CLIP module is the published network: its tensors, its numbers, its preprocessing."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_clip import tiny_clip

from clad.encoders.clip import MEAN, STD, Clip, ClipConfig, preprocess


def published_rn50() -> dict[str, tuple[int, ...]]:
    """Names and shapes in OpenAI's RN50, written down from its description and not from our module."""
    shapes: dict[str, tuple[int, ...]] = {"logit_scale": (), "text_projection": (512, 1024)}

    def norm(name: str, width: int, statistics: bool) -> None:
        for part in ("weight", "bias", *(("running_mean", "running_var") if statistics else ())):
            shapes[f"{name}.{part}"] = (width,)

    def linear(name: str, outputs: int, inputs: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

    for index, (inputs, outputs) in enumerate(((3, 32), (32, 32), (32, 64)), start=1):
        shapes[f"visual.conv{index}.weight"] = (outputs, inputs, 3, 3)
        norm(f"visual.bn{index}", outputs, True)
    channels = 64
    for layer, (blocks, inner) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
        for block in range(blocks):
            name, widths = f"visual.layer{layer}.{block}", (channels, inner, inner, 4 * inner)
            for index, kernel in enumerate((1, 3, 1), start=1):
                shapes[f"{name}.conv{index}.weight"] = (widths[index], widths[index - 1], kernel, kernel)
                norm(f"{name}.bn{index}", widths[index], True)
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (4 * inner, channels, 1, 1)
                norm(f"{name}.downsample.1", 4 * inner, True)
            channels = 4 * inner
    shapes["visual.attnpool.positional_embedding"] = (50, 2048)
    for name in "qkv":
        linear(f"visual.attnpool.{name}_proj", 2048, 2048)
    linear("visual.attnpool.c_proj", 1024, 2048)
    shapes["token_embedding.weight"], shapes["positional_embedding"] = (49408, 512), (77, 512)
    for block in range(12):
        name = f"transformer.resblocks.{block}"
        shapes[f"{name}.attn.in_proj_weight"], shapes[f"{name}.attn.in_proj_bias"] = (1536, 512), (1536,)
        linear(f"{name}.attn.out_proj", 512, 512)
        linear(f"{name}.mlp.c_fc", 2048, 512)
        linear(f"{name}.mlp.c_proj", 512, 2048)
        norm(f"{name}.ln_1", 512, False)
        norm(f"{name}.ln_2", 512, False)
    norm("ln_final", 512, False)
    return shapes


def test_default_sizes_are_the_published_rn50():
    with torch.device("meta"):
        clip = Clip(ClipConfig())
    assert {name: tuple(value.shape) for name, value in clip.state_dict().items()} == published_rn50()
    assert sum(p.numel() for p in clip.parameters()) == 102_007_137


def test_numbers_of_openais_code():
    """Expected: OpenAI's own implementation (PyPI openai-clip 1.0.1) with the same weights, its text padded to 20."""
    clip = tiny_clip()
    pixels = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 64, 64), dtype=np.float32))
    image = clip.visual(pixels)
    assert image.shape == (2, 24)
    np.testing.assert_allclose(image[1, :6], [0.66888, 0.29512, 0.32408, -0.38546, 0.25769, 0.52384], atol=2e-5)
    text = clip.text(torch.tensor([[49406, 1237, 320, 2866, 49407]]))
    assert text.shape == (1, 24)
    np.testing.assert_allclose(text[0, :6], [-1.74296, 0.09603, -4.15927, -2.99156, 1.96899, -0.8553], atol=2e-5)


@pytest.mark.parametrize("height, width", [(64, 64), (128, 128), (48, 48), (200, 96), (96, 201), (480, 640)])
def test_preprocessing_is_pillows(height, width):
    """Resize of the shorter side, bicubic, then the middle: within the rounding of 8-bit intermediate pictures.

    Which side Pillow resizes first depends on its version for tall pictures; without overshoot it makes no difference.
    """
    size = 64
    low, high = (0, 255) if height <= width else (70, 185)
    image = np.random.default_rng(height).integers(low, high + 1, (height, width, 3), dtype=np.uint8)
    image[: height // 2, : width // 3] = high
    shorter = min(height, width)
    target = (size * width // shorter, size * height // shorter)
    resized = np.asarray(Image.fromarray(image).resize(target, Image.Resampling.BICUBIC))
    top, left = (resized.shape[0] - size) // 2, (resized.shape[1] - size) // 2
    expected = resized[top : top + size, left : left + size]
    got = preprocess(torch.from_numpy(image[None]), size)[0].permute(1, 2, 0).numpy()
    assert got.shape == (size, size, 3) and got.dtype == np.float32
    levels = (got * np.array(STD) + np.array(MEAN)) * 255
    assert np.abs(levels - expected).max() < 1.6


def test_images_are_taken_as_they_stand():
    """Row, column and colour each matter: no flip, no swap of channels."""
    clip = tiny_clip()
    image = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8))
    pixels = (image.permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    np.testing.assert_allclose(clip.image(image), clip.visual(pixels), atol=1e-5)
