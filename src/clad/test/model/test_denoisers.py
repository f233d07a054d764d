"""What every denoiser must do, whichever it is: shapes, conditioning, learning, and the same numbers in ONNX."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from clad.errors import UsageError
from clad.export.graph import relative_error, write_graph
from clad.export.modules import DenoiserGraph
from clad.model.config import DENOISERS, Dims, PolicyConfig, load_config
from clad.model.denoisers import KINDS, build_denoiser
from clad.model.denoisers.dit import DitBlock
from clad.model.losses import denoising_loss
from clad.model.schedule import NoiseSchedule
from clad.runtime.samplers import make_sampler
from clad.runtime.session import open_session

pytestmark = pytest.mark.timeout(400)  # seconds of work, but of CPU time that others may be using
DIMS = Dims(proprio=5, visual=6, text=4, action=7, horizon=6)


def build(kind: str, *, horizon: int = 6, settled: bool = False, **changes) -> torch.nn.Module:
    """Random weights everywhere; settled=True leaves those at zero that training starts there."""
    torch.manual_seed(0)
    dims = Dims(**{**{n: getattr(DIMS, n) for n in ("proprio", "visual", "text", "action")}, "horizon": horizon})
    model = build_denoiser(dims, PolicyConfig(denoiser=kind, execute_steps=1, **{"width": 32, "blocks": 2, **changes}))
    if not settled:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def inputs(batch: int = 3, horizon: int = 6, width: int = 32):
    generator = torch.Generator().manual_seed(1)
    timestep = torch.randint(1, 100, (batch,), generator=generator)
    return (
        torch.randn(batch, width, generator=generator),
        torch.randn(batch, horizon, 7, generator=generator),
        timestep,
    )


def test_every_name_has_its_network():
    assert tuple(KINDS) == DENOISERS
    for kind, network in KINDS.items():
        assert type(build(kind)) is network


@pytest.mark.parametrize("horizon", [1, 2, 5, 6, 16])
@pytest.mark.parametrize("kind", DENOISERS)
def test_shape_at_every_horizon(kind, horizon):
    values = inputs(horizon=horizon)
    assert build(kind, horizon=horizon)(*values).shape == values[1].shape


@pytest.mark.parametrize("kind", DENOISERS)
def test_each_sample_depends_on_all_of_its_own_inputs_and_on_no_other_sample(kind):
    model = build(kind)
    condition, noisy, timestep = inputs()
    before = model(condition, noisy, timestep)
    for changed in (
        (condition + F.one_hot(torch.tensor([3]), 32), noisy, timestep),
        (condition, noisy, torch.tensor([5, 50, 95])),
        *((condition, noisy + F.one_hot(torch.tensor(t), 6)[:, None], timestep) for t in range(6)),
    ):
        after = model(*changed)
        assert ((after - before).abs().amax(dim=(1, 2)) > 1e-5).all()
        assert ((after - before).abs().amax(dim=(0, 2)) > 0).all(), "every step of the chunk hears of it"
    other = model(condition, torch.cat([noisy[:2], noisy[2:] + 1]), timestep)
    torch.testing.assert_close(other[:2], before[:2])


def test_order_in_time_matters_to_the_networks_that_share_weights_over_it():
    """A transformer without positions could not tell; its steps would be exchangeable."""
    for kind in ("dit", "unet1d"):
        model, (condition, noisy, timestep) = build(kind), inputs()
        assert (
            model(condition, noisy.flip(1), timestep).flip(1) - model(condition, noisy, timestep)
        ).abs().max() > 1e-3


def test_adaptive_norm_starts_at_zero():
    """adaLN-Zero: each block starts as the identity and the network by predicting nothing, whatever the condition."""
    values = inputs()
    assert not build("dit", settled=True)(*values).any()
    x, told = torch.randn(2, 6, 16), torch.randn(2, 16)
    assert torch.equal(DitBlock(16, 4, 0.0)(x, told), x)


def test_dit_block_against_loops():
    """Attention head by head and query by query, in float64."""
    torch.manual_seed(0)
    block = DitBlock(8, 2, 0.0).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    x, told = torch.randn(5, 8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)

    def norm(row):
        return (row - row.mean()) / (row.var(unbiased=False) + 1e-5).sqrt()

    parts = (block.modulation.weight @ (told * torch.sigmoid(told)) + block.modulation.bias).view(6, 8)
    rows = [block.qkv.weight @ ((1 + parts[0]) * norm(row) + parts[1]) + block.qkv.bias for row in x]
    mixed = torch.zeros_like(x)
    for head in (slice(0, 4), slice(4, 8)):
        for i, row in enumerate(rows):
            scores = torch.stack([row[:8][head] @ other[8:16][head] / 2 for other in rows])
            mixed[i, head] = sum(p * other[16:][head] for p, other in zip(scores.softmax(0), rows, strict=True))
    y = [row + parts[2] * (block.out.weight @ m + block.out.bias) for row, m in zip(x, mixed, strict=True)]
    hidden = [F.gelu(block.up.weight @ ((1 + parts[3]) * norm(row) + parts[4]) + block.up.bias) for row in y]
    expected = [r + parts[5] * (block.down.weight @ h + block.down.bias) for r, h in zip(y, hidden, strict=True)]
    torch.testing.assert_close(block(x[None], told[None])[0], torch.stack(expected))


@pytest.mark.parametrize(("kind", "prediction"), [*((kind, "sample") for kind in DENOISERS), ("dit", "epsilon")])
def test_learns_two_modes_and_samples_both(kind, prediction):
    """One condition, two equally right chunks, far apart: a regression would give their mean, a diffusion either one.

    The other condition has one right chunk: what is sampled follows the condition.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = PolicyConfig(
        denoiser=kind, prediction=prediction, width=64, blocks=2, dropout=0.0, train_steps=50, execute_steps=1
    )
    dims = Dims(proprio=1, visual=1, text=1, action=2, horizon=6)
    model, schedule = build_denoiser(dims, config), NoiseSchedule(50)
    ramp = torch.linspace(0.3, 0.8, 6)[:, None].expand(6, 2)
    chunks, conditions = torch.stack([ramp, -ramp, -ramp * 0.5]), torch.eye(2, 64)[[0, 0, 1]]
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(250):
        which = torch.randint(3, (64,))
        noise, step = torch.randn(64, 6, 2), torch.randint(50, (64,))
        told = model(conditions[which], schedule.add_noise(chunks[which], noise, step), step)
        loss = denoising_loss(told, chunks[which], noise, prediction)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    sampler = make_sampler(config)
    condition = conditions[[0] * 64 + [2] * 8]

    @torch.no_grad()
    def denoise(x, t):
        return model(condition, torch.from_numpy(x), torch.full((72,), t)).numpy()

    noise = np.random.default_rng(0).standard_normal((sampler.draws, 72, 6, 2)).astype(np.float32)
    found = torch.from_numpy(sampler(denoise, noise))
    distances = torch.stack([(found - chunk).abs().amax(dim=(1, 2)) for chunk in chunks])
    near = (distances < 0.3).float()
    assert near[:2, :64].amax(0).mean() > 0.9, "almost every sample is one of the two, not between them"
    assert 0.2 < near[0, :64].mean() < 0.8 and 0.2 < near[1, :64].mean() < 0.8
    assert near[2, 64:].mean() > 0.8


@pytest.mark.parametrize("kind", ["dit", "unet1d"])
def test_exports_with_parity(kind, tmp_path):
    """Against torch in fp32, with weights that are all non-zero, at batches that the trace has not seen."""
    graph = DenoiserGraph(build(kind, horizon=5))
    names = {name: {0: "batch"} for name in graph.inputs}
    write_graph(graph, inputs(2, horizon=5), tmp_path / "d.onnx", inputs=names, outputs=graph.outputs)
    session = open_session(tmp_path / "d.onnx")
    for batch in (1, 2, 7):
        values = inputs(batch, horizon=5)
        with torch.no_grad():
            expected = graph(*values).numpy()
        feed = {n: v.numpy() for n, v in zip(graph.inputs, values, strict=True)}
        assert expected.std() > 0.05
        assert relative_error(session.run(["prediction"], feed)[0], expected) <= 1e-5


def test_about_as_large_as_each_other():
    """At the width and blocks of either preset, so that denoisers can be compared at equal size."""
    for preset in ("small", "paper"):
        with torch.device("meta"):
            sizes = {
                kind: sum(
                    p.numel()
                    for p in build_denoiser(DIMS, load_config(preset, [f"policy.denoiser={kind}"]).policy).parameters()
                )
                for kind in DENOISERS
            }
        for kind in DENOISERS:
            assert sizes[kind] == pytest.approx(sizes["mlp_resnet"], rel=0.16), (preset, sizes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"denoiser": "dit", "width": 36, "heads": 4}, "multiple of twice policy.heads 4"),
        ({"denoiser": "unet1d", "width": 40}, "multiple of 16"),
        ({"denoiser": "unet"}, "unet1d"),
        ({"sampler": "dpm"}, "ddpm"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(UsageError, match=message):
        PolicyConfig(**changes)
