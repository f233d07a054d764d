"""`clad info`: what models, suites and tasks there are, and what a model is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from clad.cli import options

HELP = "models, what is inside them and how quick they are; suites and tasks"
EXAMPLES = """\
  clad info                             the models that can be loaded by name
  clad info NAME                        one model: robot, encoder, tasks, sizes, parity
  clad info NAME --latency 300          observation to chunk on this machine, stage by stage
  clad info --config paper              how large a model of the paper's size is
  clad info --config small --variant dit   … and with a variant
  clad info --suites                    LIBERO's suites and tasks
  clad info --visuals                   what fast visuals save, and what they change
"""
OWN_GRAPHS = ("planner", "condition", "denoiser")
LATENCY_GOAL_MS = 40.0  # p99 of observation to chunk on one CPU core: 25 decisions a second


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a model: a directory, or a name in models/")
    parser.add_argument("--suites", action="store_true", help="list LIBERO's suites and tasks instead")
    parser.add_argument(
        "--visuals", action="store_true", help="time both kinds of visuals on this machine and compare their pictures"
    )
    parser.add_argument(
        "--config",
        metavar="PRESET",
        help="parameters and memory of a configuration, e.g. small or paper; builds nothing",
    )
    parser.add_argument(
        "--latency", type=options.count, metavar="N", help="time N decisions of the model, without rendering"
    )
    options.add(
        parser,
        *("variant", "set", "provider", "precision", "fused", "sample-steps", "threads", "json"),
        variant={"help": "with --config: a named variant of it, see docs/variants.md; may repeat"},
        set={"help": "with --config: change one setting, e.g. policy.width=512; may repeat"},
    )


def run(args: argparse.Namespace) -> int:
    from clad.errors import UsageError

    if args.latency and not args.name:
        raise UsageError("--latency needs a model", "Write: clad info NAME --latency N")
    if bool(args.name) + bool(args.config) + args.suites + args.visuals > 1:
        raise UsageError("a model, --config, --suites and --visuals are four questions", "Ask one of them")
    if (args.variant or args.set) and not args.config:
        raise UsageError("--variant and --set change a configuration", "Give it with --config, e.g. --config small")
    if args.suites:
        found, text = _suites()
    elif args.visuals:
        found, text = _visuals()
    elif args.config:
        found, text = _configuration(args)
    elif args.name:
        found, text = _model(args)
    else:
        found, text = _models()
    print(text)
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _suites() -> tuple[Any, str]:
    from clad.sim.suites import SUITES, n_tasks, task_info

    found, lines = {}, []
    for suite, limit in SUITES.items():
        facts = [task_info(suite, i) for i in range(n_tasks(suite))]
        found[suite] = {"max_steps": limit, "tasks": [f.instruction for f in facts]}
        lines.append(f"{suite}: {len(facts)} tasks, at most {limit} steps")
        lines += [f"  {i:>2}  {f.instruction}" for i, f in enumerate(facts)]
    return found, "\n".join(lines)


def _visuals() -> tuple[Any, str]:
    from clad.sim.compare_visuals import compare

    lines = [
        "libero_10: CPU ms a step drawn by both cameras, physics included; mean difference of the pictures, of 255"
    ]
    found = [compare("libero_10", task) for task in (0, 2, 5)]
    for row in found:
        difference = ", ".join(f"{camera} {value:.1f}" for camera, value in row["difference"].items())
        lines.append(
            f"  task {row['task']}  full {row['full_ms']:6.1f}  fast {row['fast_ms']:5.1f}  difference {difference}"
        )
    return found, "\n".join(lines)


def _configuration(args: argparse.Namespace) -> tuple[Any, str]:
    from clad.export.sizes import PAPER_PARAMETERS, count, preset

    name, sizes = args.config, count(*preset(args.config, args.set, args.variant))
    found = {"parameters": {"planner": sizes.planner, "policy": sizes.policy, "total": sizes.total}}
    found["memory_bytes"] = sizes.memory()
    changed = "".join(f", {change}" for change in (*args.variant, *args.set))
    lines = [f"configuration '{name}'{changed}, parameters without the encoder's"]
    for part, value in found["parameters"].items():
        theirs = sum(PAPER_PARAMETERS.values()) if part == "total" else PAPER_PARAMETERS[part]
        beside = f"   the paper's {theirs / 1e9:.2f} B, {100 * (value / theirs - 1):+.1f} %" if name == "paper" else ""
        lines.append(f"  {part:<8} {value / 1e6:9.2f} M{beside}")
    lines.append("memory of the weights; for training, with gradients and AdamW's moments and without activations")
    lines += [f"  {what:<13} {value / 1e9:7.3f} GB" for what, value in found["memory_bytes"].items()]
    return found, "\n".join(lines)


def _models() -> tuple[Any, str]:
    from clad.errors import CladError
    from clad.runtime.bundle import load_bundle
    from clad.runtime.catalogue import bundle_names, models_directories

    found, lines = {}, []
    for name in bundle_names():
        try:
            found[name] = facts = _facts(load_bundle(name))
        except CladError as error:  # one bad model must not hide the others
            found[name] = {"error": str(error)}
            lines.append(f"{name}: {error}")
            continue
        tasks = ", ".join(f"{t['suite']} {t['task']}" for t in facts["tasks"])
        lines.append(
            f"{name}: {_millions(facts)}, {facts['size_mb']:.1f} MB, robot {facts['contract']['name']}, "
            f"encoder {facts['encoder']['name']}, {tasks}{', blind' if facts['blind'] else ''}"
        )
    where = ", ".join(map(str, models_directories()))
    return found, "\n".join(lines) or f"no models in {where}. Train one, or set CLAD_MODELS_DIR"


def _model(args: argparse.Namespace) -> tuple[Any, str]:
    from clad.runtime.bundle import load_bundle

    bundle = load_bundle(args.name)
    facts = _facts(bundle)
    lines = [
        f"{bundle.id}, made {bundle.created}",
        f"  robot      {bundle.contract_name} ({bundle.contract_hash[:12]})",
        f"  encoder    {bundle.encoder_name} ({bundle.encoder_sha256[:12]}), {', '.join(bundle.features)} of "
        f"{', '.join(bundle.cameras)}{'; blind: its output is zeroed' if bundle.blind else ''}",
        f"  proprio    {bundle.proprio_variant} ({bundle.proprio.mean.size}); visual {bundle.visual.mean.size}; action "
        f"{bundle.action.low.size}",
        f"  horizon    {bundle.horizon} control steps, {bundle.execute_steps} executed",
        f"  sampler    {bundle.diffusion.sampler}, {bundle.diffusion.sample_steps} of {bundle.diffusion.train_steps} "
        f"steps, predicts the {bundle.diffusion.prediction}",
        f"  size       {_millions(facts)}, {facts['size_mb']:.1f} MB, opset {bundle.opset}",
        *(
            f"             {name}: {count / 1e6:.2f} M parameters, parity {bundle.parity.get(Path(name).stem, '-')}"
            for name, count in facts["parameters"].items()
        ),
        *(f"  trained on {t.suite} {t.task}: {t.instruction}" for t in bundle.tasks),
    ]
    if args.latency:
        facts["latency"] = _latency(bundle, args)
        steps = args.sample_steps or bundle.diffusion.sample_steps
        how = f"{steps} sampling steps, {args.precision}{', fused' if args.fused else ''} on {args.provider}, "
        how += f"{args.threads} thread(s)"
        lines.append(f"  latency    of {args.latency} decisions, {how}, ms")
        lines += [
            f"             {stage:<7} p50 {s['p50_ms']:7.2f}   p99 {s['p99_ms']:7.2f}   max {s['max_ms']:7.2f}"
            for stage, s in facts["latency"].items()
        ]
        p99 = facts["latency"]["total"]["p99_ms"]
        verdict = "met" if p99 <= LATENCY_GOAL_MS else "missed"
        lines.append(f"             goal of {LATENCY_GOAL_MS:.0f} ms p99 for 25 Hz: {verdict}")
    return facts, "\n".join(lines)


def _latency(bundle, args: argparse.Namespace) -> dict[str, Any]:
    from clad.contract import load_contract
    from clad.eval.stats import latency_summary
    from clad.runtime.latency import measure

    stages = measure(
        bundle,
        load_contract(bundle.contract_name),
        decisions=args.latency,
        provider=args.provider,
        threads=args.threads,
        precision=args.precision,
        fused=args.fused,
        sample_steps=args.sample_steps,
    )
    return {stage: latency_summary(seconds) for stage, seconds in stages.items()}


def _facts(bundle) -> dict[str, Any]:
    """What model.json says, without the normalisers' numbers, plus sizes and parameter counts of its networks."""
    networks = [name for name in bundle.files if name.endswith(".onnx")]
    body = json.loads((bundle.path / "model.json").read_text())
    body["normalisers"] = {
        name: {k: len(v) if isinstance(v, list) else v for k, v in n.items()} for name, n in body["normalisers"].items()
    }
    return {
        **body,
        "path": str(bundle.path),
        "sha256": bundle.sha256,
        "size_mb": sum((bundle.path / name).stat().st_size for name in bundle.files) / 1e6,
        "parameters": {name: _parameters(bundle.path / name) for name in networks},
    }


def _parameters(path: Path) -> int:
    """Numbers in a network's weights, without the shapes and indices beside them."""
    import math

    import onnx

    weights = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8)
    graph = onnx.load(str(path), load_external_data=False).graph
    return sum(math.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type in weights)


def _millions(facts: dict[str, Any]) -> str:
    """The model's own parameters: other precisions and the fused sampler hold the same ones again."""
    own = (count for name, count in facts["parameters"].items() if Path(name).stem in OWN_GRAPHS)
    return f"{sum(own) / 1e6:.1f} M parameters"
