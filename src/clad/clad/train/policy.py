"""Stage 2: train the diffusion policy (equations 20-22) on the frozen planner's foresights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import nn

from clad.errors import CladError, UsageError
from clad.model.config import Config
from clad.model.dynamics import Observed
from clad.model.losses import denoising_loss
from clad.model.planner import AnyPlanner, build_planner
from clad.model.policy import DiffusionPolicy
from clad.model.schedule import NoiseSchedule
from clad.runtime.samplers import make_sampler
from clad.train import run as runs
from clad.train.batches import Batch, WindowTensors, with_noise
from clad.train.loop import Averaged, Stop, autocast, make_optimizer, open_log, set_rate, stoppable
from clad.train.prepare import prepare
from clad.train.team import ALONE, Team

VALIDATION_WINDOWS = 1024  # sampling costs ten runs of the denoiser a window


def load_planner(run: Path) -> tuple[AnyPlanner, runs.RunInfo]:
    """A trained planner, frozen and in evaluation mode."""
    info, _ = runs.read_info(run, "planner")
    model = runs.load_weights(run, build_planner(info.dims, info.config.planner))
    return model.eval().requires_grad_(False), info


def require_settings(planner_run: Path, asked: Config, base: Config) -> None:
    """Raise UsageError when `asked` changes of `base` a setting of data or planner that the run was not trained with.

    A policy takes these settings over from its planner; asking for others here would quietly do nothing.
    """
    found = runs.read_info(planner_run, "planner")[0].config
    for section in ("data", "planner"):
        wanted, present, default = (dataclasses.asdict(getattr(c, section)) for c in (asked, found, base))
        for key, value in wanted.items():
            if value != default[key] and value != present[key]:
                raise UsageError(
                    f"{section}.{key} is {value} here, but {planner_run} was trained with {present[key]}",
                    "Train the planner with the same variant first, and give it with --planner",
                )


def train_policy(
    features: Path | None,
    planner_run: Path | None,
    out: Path,
    config: Config,
    *,
    seed: int = 0,
    blind: bool = False,
    resume: bool = False,
    max_minutes: float = 0.0,
    team: Team = ALONE,
) -> dict[str, float]:
    """Train into the run directory `out`; the result is the averaged weights, which are also those validated.

    planner_run: the stage 1 run to stand on; its data settings, split, statistics and blindness are taken over. None only
    for the policy-only variant, which needs `features`. Validation error does not predict success: choose by rollouts.
    team: the processes that share each batch; the first of them writes.
    """
    team.require_parts(config.train_policy.batch)
    planner, like = None, None
    if config.policy.foresight != "none":
        if planner_run is None:
            raise UsageError(
                "a policy on foresights needs a planner", "Give --planner RUN, or --set policy.foresight=none"
            )
        planner, like = load_planner(planner_run)
        planner = planner.to(team.device)
        config = dataclasses.replace(config, data=like.config.data, planner=like.config.planner)
        if config.planner.kind == "lbp" and config.policy.foresight != "semantic":
            raise UsageError(
                f"{planner_run} is an lbp planner: it has no proprio foresight", "Add --set policy.foresight=semantic"
            )
        if blind and not like.blind:
            raise UsageError(
                "--blind with a planner that sees", "Train the planner with --blind, the policy follows it"
            )
        blind = like.blind
        features = features or Path(like.features)
    if features is None:
        raise UsageError("a policy without foresight needs --features", "E.g. --features data/features")

    torch.manual_seed(seed)
    data = prepare(features, config, stage="policy", seed=seed, blind=blind, like=like, team=team)
    info = dataclasses.replace(data.info, planner_sha256=runs.weights_sha256(planner_run)) if planner else data.info
    if not len(data.training.imitable) or not len(data.validation.imitable):
        raise CladError("no demonstrated step is marked worth imitating", "Make more with: clad demos")
    optim, settings = config.train_policy, config.policy
    model = DiffusionPolicy(info.dims, config.planner, settings).to(team.device)
    schedule = NoiseSchedule(settings.train_steps).to(team.device)
    averaged = Averaged(model, optim.weights_ema)
    optimizer = make_optimizer(model, optim)
    modules: dict[str, nn.Module] = {"model": model, "averaged": averaged.module}
    progress = {"step": 0, "result": {}}
    if resume:
        progress = runs.load_state(out, modules, optimizer)
    team.say(f"policy: {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
    log = open_log(team, out, optim.steps, progress["step"], max_minutes)

    try:
        with stoppable():
            while progress["step"] < optim.steps:
                step = progress["step"]
                rate = set_rate(optimizer, optim, step)
                model.train()
                batch = data.training.draw(data.training.imitable, optim.batch)
                noise = torch.randn_like(batch.chunk)
                timestep = torch.randint(settings.train_steps, (optim.batch,), device=team.device)
                now = with_noise(batch.now, optim.input_noise, blind=blind)
                past = with_noise(batch.past, optim.input_noise, blind=blind) if planner else batch.past
                batch, past, now, noise, timestep = team.part((batch, past, now, noise, timestep))
                noisy = schedule.add_noise(batch.chunk, noise, timestep)
                with autocast(optim, team.device), team.own_randomness(seed, step):
                    condition = condition_on(model, planner, batch, past, now)
                    prediction = model.denoiser(condition, noisy, timestep)
                loss = denoising_loss(prediction.float(), batch.chunk, noise, settings.prediction)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                team.average_gradients(model)
                norm = nn.utils.clip_grad_norm_(model.parameters(), optim.clip)
                optimizer.step()
                averaged.update(model, step)
                progress["step"] = step = step + 1
                log.tick(step)
                last = max_minutes > 0 and team.agree(log.out_of_time)
                if step % optim.evaluate_every and step != optim.steps and not last:
                    continue

                metrics = {
                    f"{name}_{measure}": value
                    for name, windows in (("train", data.training), ("validation", data.validation))
                    for measure, value in evaluate(averaged.module, planner, windows).items()
                }
                progress["result"] = metrics = team.agree(metrics)
                if team.first:
                    runs.save_weights(out, averaged.module)
                    runs.write_info(out, info, {"step": step, **metrics})
                    runs.save_state(out, modules, optimizer, progress)
                log.write(
                    step, {"loss": team.mean(loss.detach()).item(), **metrics, "rate": rate, "grad_norm": norm.item()}
                )
                if last:
                    break
    except (KeyboardInterrupt, Stop):
        team.say(f"interrupted at step {progress['step']}; go on from the last validation with --resume")
        raise KeyboardInterrupt from None
    finally:
        log.close()
    return progress["result"]


def condition_on(
    model: DiffusionPolicy, planner: AnyPlanner | None, batch: Batch, past: Observed, now: Observed
) -> torch.Tensor:
    """The denoiser's condition (B, W). The policy sees the very observation that the planner planned on, noise included."""
    if planner is None:
        return model.condition(now, batch.text, None)
    with torch.no_grad():
        foreseen = planner(past, now, batch.text, batch.actions)
    return model.condition(now, batch.text, foreseen)


@torch.no_grad()
def evaluate(model: DiffusionPolicy, planner: AnyPlanner | None, windows: WindowTensors) -> dict[str, float]:
    """Sample chunks as at run time. motion_error: mean absolute error of all but the last channel, scaled to [-1, 1];
    gripper_error: fraction of steps whose gripper command (the last channel's sign) is wrong."""
    model.eval()
    stride = max(1, len(windows.imitable) // VALIDATION_WINDOWS)
    batch = windows.take(windows.imitable[::stride])
    condition = condition_on(model, planner, batch, batch.past, batch.now)
    sampler = make_sampler(model.config)
    device = condition.device

    def denoise(noisy: np.ndarray, timestep: int) -> np.ndarray:
        steps = torch.full((len(condition),), timestep, device=device)
        return model.denoiser(condition, torch.from_numpy(noisy).to(device), steps).cpu().numpy()

    noise = np.random.default_rng(0).standard_normal((sampler.draws, *batch.chunk.shape)).astype(np.float32)
    sampled, wanted = sampler(denoise, noise), batch.chunk.cpu().numpy()
    return {
        "motion_error": float(np.abs(sampled - wanted)[..., :-1].mean()),
        "gripper_error": float((np.sign(sampled[..., -1]) != np.sign(wanted[..., -1])).mean()),
    }
