"""What L_recon is there for (eq. 18): without it a collapsed embedding is as good as any, and the monitor says so."""

import pytest
import torch

from clad.errors import CladError
from clad.model.config import Config, Dims, PlannerConfig
from clad.model.dynamics import LatentDynamics, Observed, TargetEncoders
from clad.model.losses import dynamics_loss, embedding_spread
from clad.train.objective import COLLAPSED, DynamicsObjective

pytestmark = pytest.mark.timeout(400)  # seconds of work, but of CPU time that others may be using

DIMS = Dims(proprio=4, visual=6, text=3, action=3, horizon=4)
STEPS, BATCH = 200, 64


def train(recon_weight: float) -> tuple[dict[str, float], LatentDynamics, float]:
    """Stage 1 on a linear world, from encoders that map everything to almost one direction. Monitor, model, L_latent."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    settings = PlannerConfig(
        width=8, proprio_tokens=2, semantic_tokens=2, hidden=16, heads=2, dropout=0.0,
        mask_ratio=0.0, ema_momentum=0.9, recon_weight=recon_weight,
    )  # fmt: skip
    model = LatentDynamics(DIMS, settings)
    with torch.no_grad():
        for layer in (model.encoders.proprio[-1], model.encoders.semantic[-1]):
            layer.weight.mul_(0.005)
            layer.bias.copy_(torch.randn_like(layer.bias))
    target = TargetEncoders(model.encoders)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    to_proprio, to_visual, text = torch.randn(3, 4), torch.randn(3, 6), torch.randn(1, 3)

    def draw(count: int):
        proprio, visual, actions = torch.randn(count, 4), torch.randn(count, 6), torch.randn(count, 4, 3)
        moved = 0.5 * actions.mean(1)
        seen = [Observed(proprio + k * moved @ to_proprio, visual + k * moved @ to_visual) for k in range(3)]
        return seen, actions, text.expand(count, -1)

    for _ in range(STEPS):
        (past, now, future), actions, told = draw(BATCH)
        loss = dynamics_loss(model, model(past, now, told, actions), target(future, told), future)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        target.update(model.encoders, settings.ema_momentum)
    with torch.no_grad():
        (*_, future), _, told = draw(500)
        spread = {f"spread_{n}": embedding_spread(z).item() for n, z in target(future, told)._asdict().items()}
    return spread, model, (loss.latent_proprio + loss.latent_semantic).item()


def test_without_reconstruction_the_monitor_sees_a_collapse():
    config = Config()
    off, model, latent = train(recon_weight=0.0)
    assert latent < 1e-2, "the latent loss alone is content with a collapsed embedding"
    assert max(off.values()) < COLLAPSED
    with pytest.raises(CladError, match="collapsed"):
        DynamicsObjective(model, config).check(off, blind=False)
    on, model, _ = train(recon_weight=1.0)
    assert min(on.values()) > 3 * COLLAPSED, "reconstruction needs embeddings that tell states apart"
    DynamicsObjective(model, config).check(on, blind=False)
