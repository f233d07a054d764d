"""Options that several commands share, with their defaults: each is spelled, bounded and explained once, here.

A command picks what it needs: `options.add(parser, "suite", "task", "out", out={"default": "runs"})`. The launch
arguments of `clad_bringup` take their defaults and choices from here too, so that `clad sim` and `ros2 launch` agree.
"""

from __future__ import annotations

import argparse
from typing import Any

from clad.model.variants import VARIANTS
from clad.runtime.catalogue import PRECISIONS
from clad.runtime.joining import STRATEGIES

PROTOCOLS = ("exact", "classic")
MODES = ("lockstep", "free-run")
VISUALS = ("full", "fast")
RENDER = ("tick", "decoupled")
PROVIDERS = ("cpu", "cuda", "tensorrt", "torch", "torch-cuda")

ALL = "all"
MOST = 2**32 - 1  # what seeds and step numbers in messages, and numpy's seeds, can hold


def count(text: str) -> int:
    """An integer from 1 to MOST."""
    return _integer(text, 1)


def index(text: str) -> int:
    """An integer from 0 to MOST."""
    return _integer(text, 0)


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer") from None
    if value < least:
        raise argparse.ArgumentTypeError(f"{value} is too small; the least is {least}")
    if value > MOST:
        raise argparse.ArgumentTypeError(f"{value} is too large; the most is {MOST}")
    return value


def tasks(text: str) -> tuple[int, ...] | str:
    """ALL, or task numbers in the order given: "0,3,5"."""
    return ALL if text == ALL else tuple(dict.fromkeys(index(part) for part in text.split(",")))


_TRAINED = "(default: the first that the model was trained on)"

OPTIONS: dict[str, dict[str, Any]] = {
    "suite": {"default": "", "metavar": "SUITE", "help": f"LIBERO suite, e.g. libero_10, libero_object {_TRAINED}"},
    "task": {"type": index, "default": None, "metavar": "N", "help": f"task index within the suite {_TRAINED}"},
    "init": {
        "type": index,
        "default": 0,
        "metavar": "N",
        "help": "evaluation state of the first episode; the next ones follow",
    },
    "episodes": {"type": count, "default": 1, "metavar": "N", "help": "how many episodes"},
    "seed": {"type": index, "default": 0, "metavar": "N", "help": "seed of the first episode; episode i has seed + i"},
    "protocol": {
        "choices": PROTOCOLS,
        "default": "exact",
        "help": "exact: the scene repeats bit for bit; classic: as the papers run it, fixtures drift between resets",
    },
    "mode": {
        "choices": MODES,
        "default": "lockstep",
        "help": "lockstep: simulated time waits for each chunk; free-run: it follows the wall clock",
    },
    "execution": {
        "choices": tuple(STRATEGIES),
        "default": "hold",
        "help": "free-run: how chunks join: "
        + "; ".join(f"{name}: {what}" for name, what in STRATEGIES.items())
        + ". Lock-step executes each chunk before it asks for the next",
    },
    "visuals": {
        "choices": VISUALS,
        "default": "full",
        "help": "full: LIBERO's own meshes, for results you report; fast: decimated meshes, several times quicker to render",
    },
    "render": {
        "choices": RENDER,
        "default": "tick",
        "help": "free-run: draw the cameras within each control step, or decoupled from it, beside the steps",
    },
    "instruction": {"default": "", "metavar": "TEXT", "help": "what the robot is told"},
    "model": {
        "default": "",
        "metavar": "NAME",
        "help": "model bundle: a directory, or a name in models/ (default: the first there that sees)",
    },
    "variant": {
        "action": "append",
        "default": [],
        "metavar": "NAME",
        "help": f"change the configuration to a named variant; may repeat: {', '.join(VARIANTS)}",
    },
    "set": {
        "action": "append",
        "default": [],
        "metavar": "KEY=VALUE",
        "help": "change one setting of the configuration, e.g. planner.recon_weight=0; may repeat",
    },
    "provider": {
        "choices": PROVIDERS,
        "default": "cpu",
        "help": "what computes: ONNX Runtime on cpu, cuda or tensorrt, or torch; refused when it is not there",
    },
    "precision": {
        "choices": PRECISIONS,
        "default": "fp32",
        "help": "of the model's networks: int8 for CPUs, fp16 for GPUs; refused when the model was not exported in it",
    },
    "fused": {
        "action": "store_true",
        "help": "all sampling steps in one run of the model's fused sampler; refused when it was exported without",
    },
    "sample-steps": {
        "type": index,
        "default": 0,
        "metavar": "N",
        "help": "sampling steps of a chunk, up to those of training; 0: as many as the model says",
    },
    "warm-start": {
        "action": "store_true",
        "help": "sample a chunk from the one before, in half the steps, while some of that is still to come",
    },
    "threads": {"type": count, "default": 1, "metavar": "N", "help": "CPU threads for inference"},
    "realtime": {
        "type": index,
        "default": 0,
        "metavar": "PRIORITY",
        "help": "real-time priority, 1 to 99, of the nodes that have deadlines; 0: none; refused where it is not allowed",
    },
    "max-steps": {
        "type": index,
        "default": 0,
        "metavar": "N",
        "help": "control steps an episode may take; 0: the suite's published limit",
    },
    "out": {"default": None, "metavar": "DIR", "help": "where the results go (default: runs/COMMAND-DATE-TIME)"},
    "json": {"default": None, "metavar": "FILE", "help": "also write the result to FILE"},
    "resume": {"action": "store_true", "help": "go on with what an interrupted run left in --out"},
    "security": {
        "action": "store_true",
        "help": "SROS2, enforced: every node in its enclave of security/clad.policy.xml (docs/security.md)",
    },
    "keystore": {
        "default": "",
        "metavar": "DIR",
        "help": "SROS2 keystore for --security (default: the one that ROS_SECURITY_KEYSTORE names)",
    },
}


def add(parser: argparse.ArgumentParser, *names: str, **changes: dict[str, Any]) -> None:
    """Add the named options to `parser`; `changes` override single fields, e.g. episodes={"default": 50}.

    In `changes` a dash is written as an underscore. Raises KeyError for a name that is not in OPTIONS.
    """
    for name in names:
        spec = {**OPTIONS[name], **changes.pop(name.replace("-", "_"), {})}
        if spec.get("default") not in (None, "") and "action" not in spec:
            spec["help"] = f"{spec['help']} (default: %(default)s)"
        parser.add_argument(f"--{name}", **spec)
    if changes:
        raise KeyError(f"changes for options that were not added: {', '.join(changes)}")
