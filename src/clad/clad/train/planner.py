"""Stage 1: train a planner (CLaD's latent dynamics, equations 5-19), stop when held-out demonstrations say so."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from clad.errors import UsageError
from clad.model.config import Config
from clad.model.planner import build_planner
from clad.train import run as runs
from clad.train.batches import with_noise
from clad.train.loop import Averaged, Stop, autocast, make_optimizer, open_log, set_rate, stoppable
from clad.train.objective import make_objective
from clad.train.prepare import prepare
from clad.train.team import ALONE, Team


def train_planner(
    features: Path,
    out: Path,
    config: Config,
    *,
    seed: int = 0,
    blind: bool = False,
    resume: bool = False,
    max_minutes: float = 0.0,
    team: Team = ALONE,
) -> dict[str, float]:
    """Train into the run directory `out` and return the metrics of the weights kept: the best on held-out demonstrations.

    Best means the lowest `skill`: the loss (eq. 19) relative to that of forecasting no change. The result is empty when
    the time was over before there were weights to keep. A resumed run continues exactly as if it had not been
    interrupted. team: the processes that share each batch; the first of them writes.
    """
    if blind and config.planner.kind == "lbp":
        raise UsageError(
            "a blind lbp planner has nothing to plan in: its goals are pictures", "Use: --variant policy-only --blind"
        )
    optim, noise = config.train_planner, config.train_planner.input_noise
    team.require_parts(optim.batch)
    torch.manual_seed(seed)
    data = prepare(features, config, stage="planner", seed=seed, blind=blind, team=team)
    model = build_planner(data.info.dims, config.planner).to(team.device)
    objective = make_objective(model, config)
    averaged = Averaged(model, optim.weights_ema)
    optimizer = make_optimizer(model, optim)
    modules: dict[str, nn.Module] = {"model": model, **objective.modules, "averaged": averaged.module}
    progress = {"step": 0, "best": float("inf"), "best_step": 0, "stale": 0, "result": {}}
    if resume:
        progress = runs.load_state(out, modules, optimizer)
    team.say(f"planner: {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
    log = open_log(team, out, optim.steps, progress["step"], max_minutes)

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
                batch, past, now = team.part((batch, past, now))
                with autocast(optim, team.device), team.own_randomness(seed, step):
                    loss = objective.loss(model, data.training, batch, past, now, step)
                optimizer.zero_grad(set_to_none=True)
                loss.total.backward()
                team.average_gradients(model)
                norm = nn.utils.clip_grad_norm_(model.parameters(), optim.clip)
                optimizer.step()
                objective.after_step(model)
                averaged.update(model, step)
                progress["step"] = step = step + 1
                log.tick(step)
                last = max_minutes > 0 and team.agree(log.out_of_time)
                if step % optim.evaluate_every and step != optim.steps and not last:
                    continue

                metrics = team.agree(objective.evaluate(averaged.module, data.validation, step))
                train_loss = team.mean(loss.total.detach()).item()
                kept = objective.keeps(step)
                better = kept and metrics["skill"] < progress["best"]
                if better:
                    progress |= {"best": metrics["skill"], "best_step": step, "stale": 0, "result": metrics}
                elif kept:
                    progress["stale"] += 1
                if team.first and better:
                    runs.save_weights(out, averaged.module)
                    runs.write_info(out, data.info, {"step": step, **metrics})
                if team.first:
                    runs.save_state(out, modules, optimizer, progress)
                log.write(
                    step,
                    {"train_loss": train_loss, **metrics, "rate": rate, "grad_norm": norm.item()},
                    "best" if better else "",
                )
                objective.check(metrics, blind=blind)
                if last:
                    break
    except (KeyboardInterrupt, Stop):
        team.say(f"interrupted at step {progress['step']}; go on from the last validation with --resume")
        raise KeyboardInterrupt from None
    finally:
        log.close()
    if progress["result"]:
        team.say(f"best at step {progress['best_step']}: loss {progress['best']:.3f} of forecasting no change")
    else:
        team.say(f"no weights yet: the action-free phase was not over at step {progress['step']}; go on with --resume")
    return progress["result"]
