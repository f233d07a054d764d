"""Which episodes an evaluation consists of. `clad eval` and `clad sim` both plan them here, so their rows agree."""

from __future__ import annotations

from dataclasses import dataclass

from clad.errors import UsageError

FIRST_VALIDATION_SEED = 100_000  # demonstrations use smaller seeds; validation scenes must not be among them
MAX_SEED = 2**32 - 1  # numpy's and the messages' limit


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeSpec:
    """One episode to run. init_index: the evaluation state; None: a scene sampled by `seed`."""

    suite: str
    task: int
    init_index: int | None
    seed: int


def evaluation_episodes(
    suite: str, task: int, *, episodes: int, init: int, seed: int, n_init_states: int
) -> list[EpisodeSpec]:
    """Episode i runs evaluation state init + i (wrapping round) with seed + i: a function of i, never of the order run.

    Raises UsageError when there is no state `init`, or a seed would be larger than MAX_SEED.
    """
    if not 0 <= init < n_init_states:
        raise UsageError(f"{suite} task {task} has no evaluation state {init}", f"Valid: 0 to {n_init_states - 1}")
    _check_last_seed(seed + episodes - 1)
    return [
        EpisodeSpec(suite=suite, task=task, init_index=(init + i) % n_init_states, seed=seed + i)
        for i in range(episodes)
    ]


def validation_episodes(suite: str, task: int, *, episodes: int, seed: int) -> list[EpisodeSpec]:
    """Episode i runs the scene sampled by seed + i. For choosing checkpoints: neither demonstrated nor evaluated on.

    Raises UsageError for seeds that demonstrations may have used, or larger than MAX_SEED.
    """
    if seed < FIRST_VALIDATION_SEED:
        raise UsageError(f"validation seed {seed} may be a demonstration's", f"Use {FIRST_VALIDATION_SEED} or more")
    _check_last_seed(seed + episodes - 1)
    return [EpisodeSpec(suite=suite, task=task, init_index=None, seed=seed + i) for i in range(episodes)]


def _check_last_seed(seed: int) -> None:
    if seed > MAX_SEED:
        raise UsageError(f"the last episode's seed would be {seed}", f"The largest is {MAX_SEED}")
