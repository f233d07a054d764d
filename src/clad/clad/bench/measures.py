"""The parts of one decision as things to time, for every back-end, precision and form of sampling that is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from clad.bench.rows import Call, Measure, weight_bytes
from clad.encoders.encoder import VISION, Encoder
from clad.errors import CladError
from clad.runtime.bundle import ModelBundle
from clad.runtime.catalogue import graph_file
from clad.runtime.ddim import Ddim
from clad.runtime.probe import sample, seeded_feed
from clad.runtime.samplers import make_sampler
from clad.runtime.session import PROVIDERS, Session, open_graph

if TYPE_CHECKING:
    from torch import nn

TORCH_CUDA = "torch-cuda"


def build(bundle: ModelBundle, *, device: str, threads: int, encoder: Encoder | None, image_size: int) -> list[Measure]:
    """Everything to measure. device: 'cpu' or 'cuda'; encoder: None leaves `encode` out. Pictures are image_size square.

    fp32 on the CPU is named plainly; other precisions and back-ends say so in the name. Where torch is installed, its
    eager mode on the same device is the fp32 rows' baseline; the weights in it are random, which costs the same.
    Raises CladError when the device has no back-end.
    """
    found = providers(device)
    modules = _torch_modules(bundle, threads) if _torch_runs_on(device) else {}
    baselines = _Eager(modules, device) if modules else None
    measures = [_encode(encoder, bundle, device, image_size)] if encoder else []
    for provider in found:
        for precision in bundle.precisions if provider != TORCH_CUDA else ("fp32",):
            measures += _decision(bundle, provider, precision, threads, modules, baselines)
    return measures


def providers(device: str) -> list[str]:
    """The back-ends that there are for a device. Raises CladError when there is none."""
    import onnxruntime

    if device == "cpu":
        return ["cpu"]
    found = ["cuda"] if PROVIDERS["cuda"] in onnxruntime.get_available_providers() else []
    found += [TORCH_CUDA] if _torch_runs_on("cuda") else []
    if not found:
        raise CladError(
            f"nothing here computes on {device}",
            "Install onnxruntime-gpu, or a CUDA build of torch, with a driver they support",
        )
    return found


def _torch_runs_on(device: str) -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return device == "cpu" or torch.cuda.is_available()


def _decision(
    bundle: ModelBundle,
    provider: str,
    precision: str,
    threads: int,
    modules: Mapping[str, nn.Module],
    eager: _Eager | None,
) -> list[Measure]:
    """plan, condition, denoise step, chunk (condition and all steps), and chunk with the fused sampler if there is one."""

    def open_(graph: str) -> Session:
        if provider == TORCH_CUDA:
            return _torch_session(bundle, graph, modules)
        return open_graph(bundle, graph, provider=provider, threads=threads, precision=precision)

    d, sampler = bundle.diffusion, make_sampler(bundle.diffusion)
    sessions = {g: open_(g) for g in (["planner"] if bundle.has_planner else []) + ["condition", "denoiser"]}
    feeds = {g: seeded_feed(s, batch=1, seed=0, train_steps=d.train_steps) for g, s in sessions.items()}
    size = {g: weight_bytes(bundle.path / graph_file(g, precision)) for g in sessions}
    suffix = "".join(f" {word}" for word in (precision, provider) if word not in ("fp32", "cpu", "cuda"))
    shape = (sampler.draws, *feeds["denoiser"]["noisy"].shape)
    noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)

    def one(graph: str) -> Call:
        session, feed = sessions[graph], feeds[graph]
        outputs = [output.name for output in session.get_outputs()]
        return lambda: session.run(outputs, feed)

    def condition() -> np.ndarray:
        return sessions["condition"].run(["condition"], feeds["condition"])[0]

    def baseline(*graphs: str) -> Call | None:
        if eager is None or precision != "fp32" or not eager.has(graphs):
            return None
        return eager.call(graphs, {**feeds, "sampler": {"noise": noise[0]}})

    names = {"planner": "plan", "condition": "condition", "denoiser": "denoise step"}
    measures = [
        Measure(name=names[g] + suffix, call=one(g), weights=size[g], reads=size[g], baseline=baseline(g))
        for g in sessions
    ]
    chunk = {
        "weights": size["condition"] + size["denoiser"],
        "reads": size["condition"] + d.sample_steps * size["denoiser"],
    }
    measures.append(
        Measure(
            name="chunk" + suffix,
            call=lambda: sample(sessions["denoiser"], sampler, condition=condition(), noise=noise),
            **chunk,
            baseline=baseline("condition", "sampler"),
        )
    )
    if (provider == TORCH_CUDA and "sampler" in modules) or graph_file("sampler", precision) in bundle.files:
        fused = open_("sampler")
        measures.append(
            Measure(
                name="chunk fused" + suffix,
                call=lambda: fused.run(["chunk"], {"condition": condition(), "noise": noise[0]}),
                **chunk,
                baseline=baseline("condition", "sampler"),
            )
        )
    return measures


def _encode(encoder: Encoder, bundle: ModelBundle, device: str, image_size: int) -> Measure:
    shape = (len(bundle.cameras), image_size, image_size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    size = weight_bytes(encoder.path / VISION)
    return Measure(
        name="encode",
        call=lambda: encoder.images(images),
        weights=size,
        reads=size,
        baseline=_encode_baseline(encoder, images, device),
    )


def _encode_baseline(encoder: Encoder, images: np.ndarray, device: str) -> Call | None:
    """The offline encoder in torch on the CPU; None for others, and where torch or the packages it comes in are missing."""
    if encoder.name != "offline" or device != "cpu" or not _torch_runs_on(device):
        return None
    from clad.export.encoder_offline import VisionEncoder

    try:
        module = VisionEncoder().eval().requires_grad_(False)
    except ImportError:
        return None
    module.inputs = ("images",)
    return _Eager({"vision": module}, device).call(("vision",), {"vision": {"images": images}})


def _torch_modules(bundle: ModelBundle, threads: int) -> dict[str, nn.Module]:
    """The bundle's networks with random weights; empty when model.json does not say how they are built."""
    if not bundle.config.get("policy"):
        return {}
    import torch

    from clad.export.modules import PlannerGraph, SamplerGraph, policy_graphs
    from clad.model.config import PlannerConfig, PolicyConfig, from_dict
    from clad.model.planner import build_planner
    from clad.model.policy import DiffusionPolicy

    torch.set_num_threads(threads)
    planner, policy = (
        from_dict(PlannerConfig, bundle.config["planner"]),
        from_dict(PolicyConfig, bundle.config["policy"]),
    )
    dims = _dims(bundle)
    model = DiffusionPolicy(dims, planner, policy)
    modules = policy_graphs(model)
    if isinstance(sampler := make_sampler(bundle.diffusion), Ddim):
        modules["sampler"] = SamplerGraph(model.denoiser, sampler)
    if bundle.has_planner:
        modules["planner"] = PlannerGraph(build_planner(dims, planner))
    return {name: module.eval().requires_grad_(False) for name, module in modules.items()}


def _torch_session(bundle: ModelBundle, graph: str, modules: Mapping[str, nn.Module]) -> Session:
    from clad.export.modules import input_shapes
    from clad.model.config import PlannerConfig, PolicyConfig, from_dict
    from clad.runtime.torch_session import TorchSession

    planner, policy = (
        from_dict(PlannerConfig, bundle.config["planner"]),
        from_dict(PolicyConfig, bundle.config["policy"]),
    )
    return TorchSession(modules[graph], input_shapes(_dims(bundle), planner, policy), device="cuda")


def _dims(bundle: ModelBundle):
    from clad.model.config import Dims
    from clad.runtime.session import open_session

    text = {i.name: i.shape for i in open_session(bundle.path / graph_file("condition")).get_inputs()}["text"][1]
    return Dims(
        proprio=bundle.proprio.mean.size,
        visual=bundle.visual.mean.size,
        text=text,
        action=bundle.action.low.size,
        horizon=bundle.horizon,
    )


class _Eager:
    """Torch's eager mode on the device: what a back-end has to beat. Inputs lie on the device already."""

    def __init__(self, modules: Mapping[str, nn.Module], device: str) -> None:
        self._modules = {name: module.to(device) for name, module in modules.items()}
        self._device = device

    def has(self, graphs: tuple[str, ...]) -> bool:
        """Whether there is a module for each: none samples all steps of an ancestral sampler."""
        return all(graph in self._modules for graph in graphs)

    def call(self, graphs: tuple[str, ...], feeds: Mapping[str, Mapping[str, np.ndarray]]) -> Call:
        """Run `graphs` in a row, 'sampler' on the condition that the one before it gave."""
        import torch

        device = self._device
        values = {g: [torch.from_numpy(v).to(device) for v in self._ordered(g, feeds[g])] for g in graphs}

        @torch.inference_mode()
        def call() -> None:
            given: list = []
            for graph in graphs:
                result = self._modules[graph](*given, *values[graph])
                given = [result]
            if device == "cuda":
                torch.cuda.synchronize()

        return call

    def _ordered(self, graph: str, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return [feed[name] for name in self._modules[graph].inputs if name in feed]
