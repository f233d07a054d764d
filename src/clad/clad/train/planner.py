"""Stage 1: train the latent dynamics (equations 5-19), stop when held-out demonstrations say so."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from clad.errors import CladError
from clad.model.config import Config
from clad.model.dynamics import LatentDynamics, TargetEncoders
from clad.model.losses import dynamics_loss, embedding_spread, persistence_loss
from clad.train import run as runs
from clad.train.batches import WindowTensors, with_noise
from clad.train.loop import Averaged, Log, Stop, autocast, make_optimizer, set_rate, stoppable
from clad.train.prepare import prepare

VALIDATION_BATCH = 2048
COLLAPSED = 0.02  # embedding spread below which the targets hold no information


def train_planner(
    features: Path,
    out: Path,
    config: Config,
    *,
    seed: int = 0,
    blind: bool = False,
    resume: bool = False,
    max_minutes: float = 0.0,
    device: str = "cpu",
) -> dict[str, float]:
    """Train into the run directory `out` and return the metrics of the weights kept: the best on held-out demonstrations.

    Best means the lowest `skill`: the loss (eq. 19) relative to that of forecasting no change. A resumed run continues
    exactly as if it had not been interrupted.
    """
    torch.manual_seed(seed)
    target_device = torch.device(device)
    data = prepare(features, config, stage="planner", seed=seed, blind=blind, device=target_device)
    optim, noise = config.train_planner, config.train_planner.input_noise
    model = LatentDynamics(data.info.dims, config.planner).to(target_device)
    target = TargetEncoders(model.encoders)
    averaged = Averaged(model, optim.weights_ema)
    optimizer = make_optimizer(model, optim)
    modules: dict[str, nn.Module] = {"model": model, "target": target, "averaged": averaged.module}
    progress = {"step": 0, "best": float("inf"), "best_step": 0, "stale": 0, "result": {}}
    if resume:
        progress = runs.load_state(out, modules, optimizer)
    print(f"planner: {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
    log = Log(out, optim.steps, progress["step"], max_minutes)

    def finished() -> bool:
        return progress["step"] >= optim.steps or (0 < optim.patience <= progress["stale"])

    try:
        with stoppable():
            while not finished():
                step = progress["step"]
                rate = set_rate(optimizer, optim, step)
                model.train()
                batch = data.training.draw(data.training.all, optim.batch)
                past, now = (with_noise(seen, noise, blind=blind) for seen in (batch.past, batch.now))
                with autocast(optim, target_device):
                    foreseen = model(past, now, batch.text, batch.actions)
                    loss = dynamics_loss(model, foreseen, target(batch.future, batch.text), batch.future)
                optimizer.zero_grad(set_to_none=True)
                loss.total.backward()
                norm = nn.utils.clip_grad_norm_(model.parameters(), optim.clip)
                optimizer.step()
                target.update(model.encoders, config.planner.ema_momentum)
                averaged.update(model, step)
                progress["step"] = step = step + 1
                log.tick(step)
                last = log.out_of_time
                if step % optim.evaluate_every and step != optim.steps and not last:
                    continue

                metrics = evaluate(averaged.module, target, data.validation)
                better = metrics["skill"] < progress["best"]
                if better:
                    progress |= {"best": metrics["skill"], "best_step": step, "stale": 0, "result": metrics}
                    runs.save_weights(out, averaged.module)
                    runs.write_info(out, data.info, {"step": step, **metrics})
                else:
                    progress["stale"] += 1
                runs.save_state(out, modules, optimizer, progress)
                log.write(
                    step,
                    {"train_loss": loss.total.item(), **metrics, "rate": rate, "grad_norm": norm.item()},
                    "best" if better else "",
                )
                if metrics["spread_semantic"] < COLLAPSED and not blind or metrics["spread_proprio"] < COLLAPSED:
                    raise CladError("the embeddings have collapsed to a point", "Lower the rate or raise ema_momentum")
                if last:
                    break
    except (KeyboardInterrupt, Stop):
        print(f"interrupted at step {progress['step']}; go on from the last validation with --resume")
        raise KeyboardInterrupt from None
    finally:
        log.close()
    print(f"best at step {progress['best_step']}: loss {progress['best']:.3f} of forecasting no change")
    return progress["result"]


@torch.no_grad()
def evaluate(model: LatentDynamics, target: TargetEncoders, windows: WindowTensors) -> dict[str, float]:
    """Losses on clean held-out windows, means over all of them. skill: loss relative to forecasting no change.

    spread_*: how far the target embeddings are apart (0: collapsed).
    """
    model.eval()
    sums: dict[str, float] = {}
    spreads: dict[str, float] = {}
    for part in windows.all.split(VALIDATION_BATCH):
        batch = windows.take(part)
        z_future, z_now = target(batch.future, batch.text), target(batch.now, batch.text)
        loss = dynamics_loss(model, model(batch.past, batch.now, batch.text, batch.actions), z_future, batch.future)
        still = persistence_loss(z_now, z_future, batch.now, batch.future, model.config.recon_weight)
        for name, value in {**loss._asdict(), "persistence": still}.items():
            sums[name] = sums.get(name, 0.0) + value.item() * len(part)
        spreads = {f"spread_{n}": embedding_spread(z).item() for n, z in z_future._asdict().items()}
    means = {name: value / len(windows.all) for name, value in sums.items()}
    return {"skill": means["total"] / means.pop("persistence"), **means, **spreads}
