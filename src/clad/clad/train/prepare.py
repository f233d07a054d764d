"""From a feature cache to what a stage trains on: split, statistics, standardised windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clad.contract import proprio_dim
from clad.data import statistics
from clad.data.features import CacheInfo, EncodedEpisode, cached_contract, load_cache
from clad.data.features import read_info as read_cache_info
from clad.data.windows import Windows, build_windows, hold_out
from clad.errors import CladError
from clad.model.config import Config, Dims
from clad.train import run as runs
from clad.train.batches import WindowTensors
from clad.train.team import Team


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Demonstrations as a training run takes them."""

    info: runs.RunInfo
    training: WindowTensors
    validation: WindowTensors


def prepare(
    features: Path,
    config: Config,
    *,
    stage: str,
    seed: int,
    blind: bool,
    like: runs.RunInfo | None = None,
    team: Team,
) -> Prepared:
    """Windows of a feature cache, split and standardised. like: a run whose split and statistics are taken over.

    Raises CladError when the cache has too little data or is of another encoder or robot than that run.
    """
    cache = read_cache_info(features)
    if like is not None and like.cache != cache:
        raise CladError(
            f"{features} holds features of encoder {cache.encoder_sha256[:12]}, the planner was trained on "
            f"{like.cache.encoder_sha256[:12]}",
            "Train the planner again on these features",
        )
    contract = cached_contract(features)
    data = config.data
    episodes = load_cache(features, data.cameras, data.features)
    held = list(like.validation) if like else hold_out(episodes, data.validation)
    training = [e for e in episodes if e.key not in set(held)]
    validation = [e for e in episodes if e.key in set(held)]
    if not training or not validation:
        raise CladError(
            f"{len(episodes)} demonstrations cannot be split into training and validation", "Make more with: clad demos"
        )

    def windows(part: list[EncodedEpisode]) -> Windows:
        return build_windows(
            part,
            horizon=data.horizon,
            proprio=data.proprio,
            cameras=data.cameras,
            features=data.features,
            action=contract.action,
        )

    train_windows, validation_windows = windows(training), windows(validation)
    normalisers = like.normalisers if like else statistics.fit(train_windows)
    info = runs.RunInfo(
        stage=stage,
        config=config,
        dims=dims_of(cache, config, len(contract.action.names)),
        cache=cache,
        features=str(features),
        normalisers=normalisers,
        validation=tuple(held),
        demonstrations=len(training),
        tasks=tasks_of(training),
        visuals=tuple(sorted({str(e.meta.get("visuals", "unknown")) for e in training})),
        blind=blind,
        seed=seed,
    )
    team.say(
        f"{len(training)} demonstrations to train on ({len(train_windows)} windows, "
        f"{int(train_windows.imitable.sum())} to imitate), {len(validation)} held out, v_t {info.dims.visual}-d"
    )
    return Prepared(
        info=info,
        training=WindowTensors(train_windows, normalisers, blind=blind, device=team.device),
        validation=WindowTensors(validation_windows, normalisers, blind=blind, device=team.device),
    )


def dims_of(cache: CacheInfo, config: Config, actions: int) -> Dims:
    """Lengths that follow from the cache and the configuration. Raises UsageError for an unknown proprio variant."""
    visual = len(config.data.cameras) * sum(cache.feature_dims[name] for name in config.data.features)
    return Dims(
        proprio=proprio_dim(config.data.proprio),
        visual=visual,
        text=cache.text_dim,
        action=actions,
        horizon=config.data.horizon,
    )


def tasks_of(episodes: list[EncodedEpisode]) -> tuple[dict, ...]:
    """The distinct tasks of the demonstrations, sorted; a source that knows no suite gets '' and 0."""
    tasks = {(str(e.meta.get("suite", "")), int(e.meta.get("task", 0)), e.instruction) for e in episodes}
    return tuple({"suite": s, "task": t, "instruction": i} for s, t, i in sorted(tasks))
