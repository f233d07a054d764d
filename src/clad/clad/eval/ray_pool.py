"""Episodes on a Ray cluster: one actor a worker, each with a model and an environment of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from clad.errors import CladError
from clad.eval.episodes import EpisodeSpec
from clad.eval.result import EpisodeRecord
from clad.eval.runner import Runner, Settings

HERE = "local"  # instead of an address: start Ray in this process, and end it with it
_STORE_BYTES = 80 * 2**20  # rows are small; Ray's own default takes a third of the memory
_MEMORY = 2.5 * 2**30  # bytes an environment takes, so that Ray does not put too many on one machine


def run_on_ray(
    settings: Settings, specs: Sequence[EpisodeSpec], workers: int, address: str = HERE
) -> Iterator[EpisodeRecord]:
    """As `run_all`, on the cluster at `address`: rows come as they are ready and equal those of the process pool.

    Every machine needs this library, LIBERO and the model at the same path. Raises CladError when Ray is missing, the
    cluster cannot be reached or an actor died; rows that were yielded before are good.
    """
    ray = _ray()
    here = address == HERE
    try:
        if here:
            ray.init(num_cpus=workers, object_store_memory=_STORE_BYTES, include_dashboard=False, log_to_driver=False)
        else:
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise CladError(f"no Ray cluster at '{address}' ({error})", "Start one: ray start --head") from error
    try:
        resources = {"num_cpus": 1} if here else {"num_cpus": 1, "memory": _MEMORY}
        make = ray.remote(**resources)(_Actor)
        actors = [make.remote(settings) for _ in range(min(workers, len(specs)))]
        waiting = list(reversed(specs))
        running = {actor.run.remote(waiting.pop()): actor for actor in actors}
        while running:
            (ready, *_), _ = ray.wait(list(running))
            actor = running.pop(ready)
            yield ray.get(ready)
            if waiting:
                running[actor.run.remote(waiting.pop())] = actor
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise (cause if isinstance(cause, CladError) else CladError(f"a Ray actor failed: {cause}", "")) from error
    except ray.exceptions.RayError as error:
        remedy = "Go on with --resume; memory is the usual reason"
        raise CladError(f"a Ray worker was lost ({type(error).__name__})", remedy) from error
    finally:
        ray.shutdown()


class _Actor:
    """Runs in a process of Ray's, which ends it."""

    def __init__(self, settings: Settings) -> None:
        os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa's renderer would take every core in every worker
        self._settings, self._runner = settings, None

    def run(self, spec: EpisodeSpec) -> EpisodeRecord:
        if self._runner is None:  # not in __init__, whose errors Ray reports as a dead actor
            self._runner = Runner(self._settings)
        return self._runner.run(spec)


def _ray():
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        install = "pip install -r requirements/ray.txt -c requirements/constraints.txt"
        raise CladError("Ray is not installed", f"Install it: {install}") from error
    return ray
