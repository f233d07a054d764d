"""The planner: observations and executed actions in, grounded latent foresight out (equations 5 to 13)."""

from __future__ import annotations

import time

import numpy as np

from clad.contract import Observation, RobotContract, hold_action, proprio_vector
from clad.errors import CladError
from clad.runtime.bundle import ModelBundle, load_encoder
from clad.runtime.catalogue import SEMANTIC_PREDICTED
from clad.runtime.history import History, Past
from clad.runtime.session import TORCH_PROVIDERS, open_graph
from clad.runtime.types import Foresight

WARM_UP_RUNS = 3
_NO_TOKENS, _NOTHING = np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.float32)
_NOTHING_FORESEEN = {
    "proprio_foresight": _NO_TOKENS,
    "semantic_foresight": _NO_TOKENS,
    "proprio_predicted": _NOTHING,
    SEMANTIC_PREDICTED: _NOTHING,
}


class Planner:
    """One model's planner with the history of the present episode; `reset` before the first observation of each.

    A foresight is a pure function of the observations and executed actions since `reset`. Not thread-safe: `plan`
    and `executed` must not overlap. provider, precision: as of `open_graph`; the encoder has one precision. Raises CladError for a bundle of another robot or encoder, or a provider that
    does not start.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        contract: RobotContract,
        *,
        provider: str = "cpu",
        threads: int = 1,
        precision: str = "fp32",
    ) -> None:
        bundle.require_contract(contract)
        self._bundle = bundle
        self._contract = contract
        placement = {"provider": provider, "threads": threads, "precision": precision}
        self._session = open_graph(bundle, "planner", **placement) if bundle.has_planner else None
        self._outputs = [] if self._session is None else [output.name for output in self._session.get_outputs()]
        self._encoder = load_encoder(bundle, provider=TORCH_PROVIDERS.get(provider, provider), threads=threads)
        self._hold = bundle.action(hold_action(contract.action))
        self._instruction = ""
        self._text: np.ndarray | None = None
        self._seed = 0
        self._history = self._new_history()

    def reset(self, instruction: str, seed: int) -> None:
        """Begin an episode: forget the past, encode the instruction. Raises CladError for an empty instruction."""
        if self._text is None or instruction != self._instruction:
            self._text = self._encoder.text(instruction)
        self._instruction = instruction
        self._seed = seed
        self._history = self._new_history()

    def executed(self, step: int, action: np.ndarray) -> None:
        """Tell of a native action (N,) that the driver took at control step `step` (after `step` was observed)."""
        self._history.execute(step, self._bundle.action(action))

    def plan(self, observation: Observation) -> Foresight:
        """Foresight for this observation. Its step must not lie before the last one's; an equal step plans again.

        Raises CladError before `reset`, for a missing camera and for images of another size than the contract's.
        """
        if self._text is None:
            raise CladError("the planner has no instruction", "Call reset before plan")
        started = time.perf_counter()
        visual = self._bundle.visual(self._visual(observation))
        if self._bundle.blind:
            visual = np.zeros_like(visual)
        encoded = time.perf_counter()
        measured = proprio_vector(observation, self._bundle.proprio_variant)
        proprio = self._bundle.proprio(measured)
        self._history.observe(observation.step, proprio, visual)
        past = self._history.past()
        foreseen = self._foresee(past, proprio, visual)
        return Foresight(
            step=observation.step,
            seed=self._seed,
            instruction=self._instruction,
            semantic_embedding=visual,
            instruction_embedding=self._text,
            proprio=proprio,
            proprio_measured=measured,
            **foreseen,
            encode_latency=encoded - started,
            plan_latency=time.perf_counter() - started,
            fallback=past.fallback,
        )

    def warm_up(self) -> None:
        """Run everything a few times on a grey picture, so that the first real plan is not slow; forgets the episode."""
        size, contract = self._contract.image_size, self._contract
        image = np.full((size, size, 3), 128, dtype=np.uint8)
        observation = Observation(
            step=0,
            images={camera: image for camera in self._bundle.cameras},
            joint_position=np.zeros(len(contract.joint_names)),
            joint_velocity=np.zeros(len(contract.joint_names)),
            gripper_position=np.zeros(len(contract.gripper_joint_names)),
            ee_position=np.zeros(3),
            ee_quaternion=np.array([1.0, 0.0, 0.0, 0.0]),
        )
        with self._bundle.trial():
            for _ in range(WARM_UP_RUNS):
                self.reset("warm up", 0)
                self.plan(observation)
        self._text = None
        self._history = self._new_history()

    def _new_history(self) -> History:
        return History(horizon=self._bundle.horizon, hold=self._hold)

    def _foresee(self, past: Past, proprio: np.ndarray, visual: np.ndarray) -> dict[str, np.ndarray]:
        """The network's outputs by name, the predicted proprio in SI units; empty what this model does not say."""
        if self._session is None:
            return _NOTHING_FORESEEN
        values = self._session.run(
            self._outputs,
            {
                "proprio_past": past.proprio[None],
                "visual_past": past.visual[None],
                "proprio": proprio[None],
                "visual": visual[None],
                "text": self._text[None],
                "actions": past.actions[None],
            },
        )
        foreseen = {name: value[0] for name, value in zip(self._outputs, values, strict=True)}
        foreseen["proprio_predicted"] = self._bundle.proprio.inverse(foreseen["proprio_predicted"])
        return _NOTHING_FORESEEN | foreseen

    def _visual(self, observation: Observation) -> np.ndarray:
        """v_t before standardisation: (D_v,) float32, all cameras encoded as one batch."""
        size = (self._contract.image_size, self._contract.image_size, 3)
        images = []
        for camera in self._bundle.cameras:
            image = observation.images.get(camera)
            if image is None:
                raise CladError(
                    f"the observation has no image of camera '{camera}'",
                    f"Model '{self._bundle.name}' needs {', '.join(self._bundle.cameras)}",
                )
            if image.shape != size:
                raise CladError(
                    f"the image of camera '{camera}' is {image.shape}, the contract says {size}",
                    "Set the camera to the contract's image_size",
                )
            images.append(image)
        encoded = self._encoder.images(np.stack(images))
        return np.concatenate([encoded[f][i] for i in range(len(images)) for f in self._bundle.features])
