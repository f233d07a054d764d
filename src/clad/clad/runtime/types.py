"""What travels between planner, policy and robot: the ROS-free twins of LatentForesight and ActionChunk."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Latent foresight at t+tau, with everything the policy needs; all arrays float32.

    step: control steps since the episode's first observation. seed: the episode's; (seed, step) seeds the sampler.
    proprio_foresight: (N_p, d), z^p (eq. 12). semantic_foresight: (N_s, d), z^s (eq. 13).
    Both are (0, 0), and the predictions (0,), for a model without a planner (the policy-only variant).
    semantic_embedding: (D_v,) v_t standardised. instruction_embedding: (D_l,). proprio: (D_p,) p_t standardised.
    What the foresight says of t+tau, and what to hold against the foresight made tau steps earlier:
    proprio_predicted: (D_p,) h_p(z^p), proprio_measured: (D_p,) p_t, both in SI units of the model's proprio variant.
    semantic_predicted: (D_v,) h_s(z^s), standardised as semantic_embedding is; (0,) where the model has no such output.
    encode_latency, plan_latency: wall seconds; plan_latency includes the encoder.
    fallback: in words, what stood in for a part of the history that never arrived; empty when the history was exact.
    """

    step: int
    seed: int
    instruction: str
    proprio_foresight: np.ndarray
    semantic_foresight: np.ndarray
    semantic_embedding: np.ndarray
    instruction_embedding: np.ndarray
    proprio: np.ndarray
    proprio_predicted: np.ndarray
    proprio_measured: np.ndarray
    semantic_predicted: np.ndarray
    encode_latency: float
    plan_latency: float
    fallback: str = ""


FORESIGHT_ARRAYS = tuple(field.name for field in fields(Foresight) if field.type == "np.ndarray")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """values: (H, N) float32 actions in wire (SI) units; step 0 is due when `step` was observed. policy_latency: wall seconds."""

    step: int
    values: np.ndarray
    policy_latency: float
