"""The networks of a bundle as torch modules with named inputs and outputs: what is exported, and what torch runs itself."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from clad.model.config import Dims, PlannerConfig, PolicyConfig
from clad.model.dynamics import Foreseen, Observed
from clad.model.planner import AnyPlanner, foresight_width
from clad.model.policy import Condition, DiffusionPolicy
from clad.runtime.catalogue import SEMANTIC_PREDICTED
from clad.runtime.ddim import Ddim


class PlannerGraph(nn.Module):
    """planner.onnx: p_{t-tau}, v_{t-tau}, p_t, v_t, l, a_{t-tau:t} -> z^p, z^s (eqs 12, 13), h_p(z^p), h_s(z^s) (eq. 18).

    The last is not there for a model that cannot read the scene back from its foresight.
    """

    inputs = ("proprio_past", "visual_past", "proprio", "visual", "text", "actions")

    def __init__(self, model: AnyPlanner) -> None:
        super().__init__()
        self.model = model
        self.outputs = ("proprio_foresight", "semantic_foresight", "proprio_predicted")
        if model.config.reads_scene:
            self.outputs += (SEMANTIC_PREDICTED,)

    def forward(self, proprio_past, visual_past, proprio, visual, text, actions):
        now = Observed(proprio, visual)
        foreseen = self.model(Observed(proprio_past, visual_past), now, text, actions)
        outputs = foreseen.proprio, foreseen.semantic, self.model.predict_proprio(foreseen, now)
        return (*outputs, self.model.decode_visual(foreseen.semantic)) if self.model.config.reads_scene else outputs


class ConditionGraph(nn.Module):
    """condition.onnx: p_t, v_t, l and the foresights that the variant uses -> the denoiser's condition (eqs 20, 21)."""

    outputs = ("condition",)

    def __init__(self, condition: Condition) -> None:
        super().__init__()
        self.condition = condition
        used = {"proprio_foresight": condition.uses_proprio, "semantic_foresight": condition.uses_semantic}
        self._foresights = tuple(name for name, is_used in used.items() if is_used)
        self.inputs = ("proprio", "visual", "text", *self._foresights)

    def forward(self, proprio, visual, text, first=None, second=None):
        # torch.export takes no *args: `first` and `second` are the foresights in use, in order
        given = dict(zip(self._foresights, (first, second)))
        foreseen = Foreseen(given.get("proprio_foresight"), given.get("semantic_foresight"))
        return self.condition(Observed(proprio, visual), text, foreseen)


class DenoiserGraph(nn.Module):
    """denoiser.onnx: condition, noisy chunk, timestep -> prediction (eq. 22)."""

    inputs = ("condition", "noisy", "timestep")
    outputs = ("prediction",)

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, condition, noisy, timestep):
        return self.denoiser(condition, noisy, timestep)


class SamplerGraph(nn.Module):
    """Condition and noise -> chunk in [-1, 1]: every DDIM step of runtime/ddim.py in one call of one network."""

    inputs = ("condition", "noise")
    outputs = ("chunk",)

    def __init__(self, denoiser: nn.Module, ddim: Ddim) -> None:
        super().__init__()
        self.denoiser = denoiser
        self._steps = [tuple(map(float, (s.signal, s.noise, s.next_signal, s.next_noise))) for s in ddim.steps]
        self._predicts_sample = ddim.predicts_sample
        self.register_buffer("timesteps", torch.tensor(ddim.timesteps), persistent=False)

    def forward(self, condition, noise):
        x = noise
        for timestep, (signal, sigma, next_signal, next_sigma) in zip(self.timesteps, self._steps, strict=True):
            prediction = self.denoiser(condition, x, timestep.expand(x.shape[0]))
            if self._predicts_sample:
                sample, epsilon = prediction, (x - signal * prediction) / sigma
            else:
                sample, epsilon = (x - sigma * prediction) / signal, prediction
            x = next_signal * sample.clamp(-1.0, 1.0) + next_sigma * epsilon
        return x


def policy_graphs(policy: DiffusionPolicy) -> dict[str, nn.Module]:
    """The policy's networks by the names of their files."""
    return {"condition": ConditionGraph(policy.condition), "denoiser": DenoiserGraph(policy.denoiser)}


def input_shapes(dims: Dims, planner: PlannerConfig, policy: PolicyConfig) -> Mapping[str, tuple[int, ...]]:
    """Shape of every input that any of these networks has, without the batch."""
    chunk, token = (dims.horizon, dims.action), foresight_width(dims, planner)
    return {
        "proprio_past": (dims.proprio,), "visual_past": (dims.visual,), "proprio": (dims.proprio,),
        "visual": (dims.visual,), "text": (dims.text,), "actions": chunk,
        "proprio_foresight": (planner.proprio_tokens, token),
        "semantic_foresight": (planner.semantic_tokens, token),
        "condition": (policy.width,), "noisy": chunk, "noise": chunk, "timestep": (),
    }  # fmt: skip
