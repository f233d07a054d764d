"""The paper's equations once more, in float64 numpy and plain loops, on the weights of a torch module."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from clad.model.config import Dims, PlannerConfig
from clad.model.dynamics import LatentDynamics, Observed


def w(parameter) -> np.ndarray:
    return parameter.detach().double().numpy()


def linear(layer: nn.Linear, x: np.ndarray) -> np.ndarray:
    return x @ w(layer.weight).T + w(layer.bias)


def layer_norm(x: np.ndarray, layer: nn.LayerNorm | None = None) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    unit = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return unit if layer is None else unit * w(layer.weight) + w(layer.bias)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def mlp(layers: nn.Sequential, x: np.ndarray) -> np.ndarray:
    return linear(layers[4], gelu(layer_norm(linear(layers[0], x), layers[1])))


def film(layer, x: np.ndarray, condition: np.ndarray) -> np.ndarray:
    return linear(layer.gamma, condition) * x + linear(layer.beta, condition)


def residual(block, x: np.ndarray) -> np.ndarray:
    return x + linear(block.down, gelu(linear(block.up, layer_norm(x, block.norm))))


def attention(block, query: np.ndarray, context: np.ndarray) -> np.ndarray:
    """One sample: query (Q, d), context (K, d); head by head, query by query."""
    heads, width = block.heads, query.shape[-1]
    size = width // heads
    normed = layer_norm(context, block.norm_context)
    q = linear(block.query, layer_norm(query, block.norm_query))
    k, v = linear(block.key, normed), linear(block.value, normed)
    out = np.zeros_like(query)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(query)):
            scores = np.array([q[i, part] @ k[j, part] / math.sqrt(size) for j in range(len(context))])
            weights = np.exp(scores - scores.max())
            weights /= weights.sum()
            out[i, part] = sum(weights[j] * v[j, part] for j in range(len(context)))
    return residual(block.feed_forward, query + linear(block.out, out))


def foresee(model, past, now, text: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equations 5-13 for one sample; past and now are (p, v) pairs. Returns z-hat^p, z-hat^s as (N, d)."""
    d = model.config.width

    def encode(seen):
        z_p = mlp(model.encoders.proprio, seen[0]).reshape(-1, d)  # eq. 5
        z_s = mlp(model.encoders.semantic, film(model.encoders.film, seen[1], text)).reshape(-1, d)  # eq. 6
        return z_p, z_s

    (p0, s0), (p1, s1) = encode(past), encode(now)
    if model.config.use_actions:
        tokens = np.stack([linear(model.action_token, a) for a in actions])
    else:
        tokens = np.tile(w(model.mask_token), (len(actions), 1))
    tokens = tokens + w(model.action_position)
    step = model.transition
    u_p = attention(step.proprio, p1, np.vstack([p0, tokens]))  # eq. 7
    u_s = attention(step.semantic, s1, np.vstack([s0, tokens]))  # eq. 8
    both = np.vstack([u_p, u_s])
    u = {  # eq. 9 and its ablations
        "proprio_queries_semantic": lambda: attention(step.cross, u_p, u_s),
        "semantic_queries_proprio": lambda: attention(step.cross, u_s, u_p),
        "symmetric": lambda: attention(step.cross, both, both),
    }[model.config.attention]()
    z_dyn = attention(model.pool, w(model.latent_query)[0], u)[0]  # eq. 10
    return mlp(model.foresee_proprio, z_dyn).reshape(-1, d), mlp(model.foresee_semantic, z_dyn).reshape(-1, d)  # 11-13


def condition(model, seen, text: np.ndarray, foresight) -> np.ndarray:
    """Equations 20 and 21 for one sample and any variant."""
    parts = []
    if model.alone or model.uses_proprio:
        o = mlp(model.proprio, seen[0])
        parts.append(o if model.alone else _modulate(model.modulate_proprio, o, foresight[0]))
    if model.alone or model.uses_semantic:
        o = mlp(model.semantic, film(model.film, seen[1], text))
        parts.append(o if model.alone else _modulate(model.modulate_semantic, o, foresight[1]))
    return linear(model.project[1], layer_norm(np.concatenate(parts), model.project[0]))


def _modulate(layer, o: np.ndarray, z: np.ndarray) -> np.ndarray:
    return linear(layer.gamma, o) * np.concatenate([layer_norm(token) for token in z]) + linear(layer.beta, o)


def denoise(model, told: np.ndarray, noisy: np.ndarray, timestep: int) -> np.ndarray:
    count = len(w(model.step.frequencies))
    phase = np.array([timestep / model.step.train_steps * 1000 ** (i / (count - 1)) for i in range(count)])
    x = linear(model.inputs, np.concatenate([told, np.sin(phase), np.cos(phase), noisy.ravel()]))
    for block in model.blocks:
        x = residual(block, x)
    return linear(model.outputs[1], layer_norm(x, model.outputs[0])).reshape(noisy.shape)


# --- a planner small enough for loops

PLANNER_DIMS = Dims(proprio=5, visual=6, text=4, action=3, horizon=4)


def tiny_planner(**changes) -> LatentDynamics:
    torch.manual_seed(0)
    model = LatentDynamics(
        PLANNER_DIMS,
        PlannerConfig(**{"width": 8, "proprio_tokens": 2, "semantic_tokens": 3, "hidden": 10, "heads": 2, **changes}),
    )
    with torch.no_grad():  # FiLM starts as the identity; give every parameter an effect
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def planner_inputs(batch: int = 3):
    rng = np.random.default_rng(1)
    shapes = [
        (PLANNER_DIMS.proprio,),
        (PLANNER_DIMS.visual,),
        (PLANNER_DIMS.proprio,),
        (PLANNER_DIMS.visual,),
        (PLANNER_DIMS.text,),
        (PLANNER_DIMS.horizon, PLANNER_DIMS.action),
    ]
    return [torch.from_numpy(rng.standard_normal((batch, *s)).astype(np.float32)) for s in shapes]


def run_planner(model, values):
    p0, v0, p1, v1, text, actions = values
    return model(Observed(p0, v0), Observed(p1, v1), text, actions)
