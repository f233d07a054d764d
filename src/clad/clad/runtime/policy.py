"""The policy: latent foresight in, an action chunk out (equations 20 to 22), sampled step by step or fused."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from clad.contract import RobotContract, native_to_wire, wire_to_native
from clad.errors import UsageError
from clad.runtime.bundle import ModelBundle
from clad.runtime.diffusion import alphas_bar
from clad.runtime.execution.rtc import Committed, Denoise, action_mask, carried_on, inpainted
from clad.runtime.samplers import make_sampler
from clad.runtime.session import open_graph
from clad.runtime.types import Chunk, Foresight

WARM_UP_RUNS = 3
FORESIGHT_INPUTS = ("proprio_foresight", "semantic_foresight")


class Policy:
    """One model's policy. It keeps nothing between calls: a chunk is a pure function of what `act` is given.

    provider, precision: as of `open_graph`. fused: all sampling steps in one run of `sampler.onnx`, if the bundle has it.
    sample_steps: of the sampler; 0: the model's own number. warm_start: begin half-way, near the chunk before.
    Raises CladError for a bundle of another robot and for a provider that does not start; UsageError for sample_steps or
    warm_start where they cannot be.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        contract: RobotContract,
        *,
        provider: str = "cpu",
        threads: int = 1,
        precision: str = "fp32",
        fused: bool = False,
        sample_steps: int = 0,
        warm_start: bool = False,
    ) -> None:
        bundle.require_contract(contract)
        own = bundle.diffusion.sample_steps
        sample_steps, most = sample_steps or own, bundle.diffusion.train_steps
        if not 1 <= sample_steps <= most:
            raise UsageError(f"{sample_steps} sampling steps of {most} training steps", f"Give 1 to {most}")
        if fused and (warm_start or sample_steps != own):
            raise UsageError(
                f"a fused sampler is one network: {own} steps, from noise",
                "Leave out fused, or sample steps and warm start",
            )
        if warm_start and sample_steps == 1:
            raise UsageError("a warm start leaves out half of the sampling steps, and there is one", "Take 2 or more")
        self._bundle = bundle
        self._spec = contract.action
        placement = {"provider": provider, "threads": threads, "precision": precision}
        self._condition = open_graph(bundle, "condition", **placement)
        self._fused = fused
        self._network = open_graph(bundle, "sampler" if fused else "denoiser", **placement)
        self._inputs = {i.name: i.shape for i in self._condition.get_inputs()}
        self._sampler = make_sampler(replace(bundle.diffusion, sample_steps=sample_steps))
        self._warm_start = warm_start
        self._timesteps = {t: np.array([t], dtype=np.int64) for t in self._sampler.timesteps}
        self._noise_shape = (self._sampler.draws, 1, bundle.horizon, len(contract.action.names))

    def act(self, foresight: Foresight, committed: Committed | None = None, previous: Chunk | None = None) -> Chunk:
        """The chunk of `horizon` actions, in wire units, for the observation behind this foresight.

        committed: real-time chunking, what acts until this chunk can; its frozen rows are this chunk's first, bit for
        bit, and the others follow on them. Raises UsageError for it with a fused sampler, which has no place to do so.
        previous: warm start, the chunk before of the same episode; without one, or with nothing of it left, sampling
        begins at noise as it does without warm_start.
        """
        started = time.perf_counter()
        feed = {
            "proprio": foresight.proprio[None],
            "visual": foresight.semantic_embedding[None],
            "text": foresight.instruction_embedding[None],
        }
        for name in FORESIGHT_INPUTS:  # each is absent from the graph of a variant that does without it
            if name in self._inputs:
                feed[name] = getattr(foresight, name)[None]
        (condition,) = self._condition.run(["condition"], feed)
        noise = chunk_noise(foresight.seed, foresight.step, self._noise_shape)
        if self._fused:
            scaled = self._sample_fused(condition, noise, committed)
        else:
            scaled = self._sampler(self._denoiser(condition, committed), noise, self._near(previous, foresight.step))
        values = native_to_wire(self._bundle.action.inverse(scaled[0]), self._spec).astype(np.float32)
        if committed is not None:  # scaling back and forth costs a last bit
            values[: committed.frozen] = committed.values[: committed.frozen]
        return Chunk(step=foresight.step, values=values, policy_latency=time.perf_counter() - started)

    def _denoiser(self, condition: np.ndarray, committed: Committed | None) -> Denoise:
        """The network for this condition; with `committed`, pulled towards it."""

        def denoise(x: np.ndarray, timestep: int) -> np.ndarray:
            feed = {"condition": condition, "noisy": x, "timestep": self._timesteps[timestep]}
            return self._network.run(["prediction"], feed)[0]

        if committed is None:
            return denoise
        known, overlap = np.zeros(self._noise_shape[1:], dtype=np.float32), len(committed.values)
        known[0, :overlap] = self._scaled(committed.values)
        mask = action_mask(committed.frozen, overlap, known.shape[1:], self._spec.gripper_index)
        schedule = None if self._sampler.predicts_sample else alphas_bar(self._bundle.diffusion.train_steps)
        return inpainted(denoise, known, mask, schedule)

    def _near(self, previous: Chunk | None, step: int) -> np.ndarray | None:
        """(1, H, N) scaled: where a warm start begins; None: at noise."""
        if not self._warm_start or previous is None:
            return None
        guess = carried_on(previous, step)
        return None if guess is None else self._scaled(guess)[None]

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        """Actions in wire units as the network has them, float32."""
        return self._bundle.action(wire_to_native(values, self._spec))

    def _sample_fused(self, condition: np.ndarray, noise: np.ndarray, committed: Committed | None) -> np.ndarray:
        if committed is not None:
            raise UsageError("a fused sampler cannot continue a chunk", "Leave out --fused, or --execution rtc")
        return self._network.run(["chunk"], {"condition": condition, "noise": noise[0]})[0]

    def warm_up(self) -> None:
        """Act a few times on zeros, so that the first real chunk is not slow."""
        with self._bundle.trial():
            foresight = self._blank_foresight()
            for _ in range(WARM_UP_RUNS):
                self.act(foresight)

    def _blank_foresight(self) -> Foresight:
        blank = {name: np.zeros(shape[1:], dtype=np.float32) for name, shape in self._inputs.items()}
        tokens = np.zeros((0, 0), dtype=np.float32)
        return Foresight(
            step=0,
            seed=0,
            instruction="warm up",
            proprio_foresight=blank.get("proprio_foresight", tokens),
            semantic_foresight=blank.get("semantic_foresight", tokens),
            semantic_embedding=blank["visual"],
            instruction_embedding=blank["text"],
            proprio=blank["proprio"],
            proprio_predicted=blank["proprio"],
            proprio_measured=blank["proprio"],
            semantic_predicted=blank["visual"],
            encode_latency=0.0,
            plan_latency=0.0,
        )


def chunk_noise(seed: int, step: int, shape: tuple[int, ...]) -> np.ndarray:
    """All the noise of one chunk: float32, a function of the episode's seed and the observation's step alone.

    Along the first axis what a sampler draws, in order: the start, then what an ancestral one adds on the way.
    """
    return np.random.default_rng([seed, step]).standard_normal(shape).astype(np.float32)
