"""How a LIBERO scene comes to be: the two evaluation protocols, sampled scenes, and the hash that identifies one.

Why `exact` is needed: fixtures (stove, cabinet, microwave, caddy, rack) live in the model, not in the state. Upstream
samples them from numpy's global generator at every reset, and `set_init_state` does not put them back. Besides,
`object_property_initializers` grows at every reset and eats random numbers. So with upstream's loop the same initial
state is a slightly different scene each time. `exact` empties that list and seeds before each reset.
"""

from __future__ import annotations

import hashlib

import numpy as np

from clad.errors import CladError, UsageError

PROTOCOLS = ("exact", "classic")
MOST_DRAWS = 100
SETTLE_STEPS = 10  # objects start up to 16 cm in the air; every published evaluation waits this long


def check_protocol(protocol: str) -> None:
    """Raises UsageError for a protocol that is neither 'exact' nor 'classic'."""
    if protocol not in PROTOCOLS:
        raise UsageError(f"unknown protocol '{protocol}'", f"Valid: {', '.join(PROTOCOLS)}")


def load_exact(env, seed: int, state: np.ndarray | None) -> None:
    """Build the scene of (seed, state): always the same one. Without a state, the scene that `seed` samples.

    env: LIBERO's ControlEnv. state: (S,) flat MuJoCo state, or None. Seeds numpy's global generator, as upstream does.
    """
    env.env.object_property_initializers = []
    env.seed(seed)
    _reset(env)
    if state is not None:
        env.set_init_state(_widened(env, state))


def load_classic(env, state: np.ndarray) -> None:
    """Upstream's evaluation loop: reset, then the state; fixtures drift with the number of resets since seeding."""
    _reset(env)
    env.set_init_state(_widened(env, state))


def _widened(env, state: np.ndarray) -> np.ndarray:
    """The state with what a perturbation's added objects, the model's last ones, have now: each 7 positions, 6 velocities."""
    now, added = env.sim.get_state().flatten(), 0
    while len(state) + 13 * added < len(now):
        added += 1
    if not added:
        return state
    positions = env.sim.model.nq - 7 * added
    old, new = state[1:], now[1:]
    end = env.sim.model.nq
    return np.concatenate(
        [state[:1], old[:positions], new[positions:end], old[positions:], new[len(new) - 6 * added :]]
    )


def _reset(env) -> None:
    """ControlEnv.reset, without its `finally: continue`: that swallows Ctrl-C and every fault and tries again for ever."""
    from robosuite.utils.errors import RandomizationError

    for _ in range(MOST_DRAWS):
        try:
            env.env.reset()
            return
        except RandomizationError:  # the objects found no place; the generator's next numbers may be kinder
            continue
    raise CladError(f"the objects found no place in {MOST_DRAWS} draws", "Try another seed")


def settle(env, hold: np.ndarray) -> None:
    """Let objects fall and come to rest. hold: (7,) native action that stays where it is."""
    for _ in range(SETTLE_STEPS):
        env.step(hold)


def fixture_poses(env) -> np.ndarray:
    """(F, 7) position and wxyz quaternion of the fixtures in the model, by name: what `set_init_state` leaves alone."""
    model = env.sim.model
    bodies = [model.body_name2id(f.root_body) for _, f in sorted(env.env.fixtures_dict.items())]
    return np.concatenate([model.body_pos[bodies], model.body_quat[bodies]], axis=1)


def scene_hash(fixtures: np.ndarray, state: np.ndarray, images: dict[str, np.ndarray]) -> str:
    """SHA-256 over fixture poses, the flat state and the first images (cameras in name order)."""
    digest = hashlib.sha256()
    for array in (fixtures, state, *(images[name] for name in sorted(images))):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
