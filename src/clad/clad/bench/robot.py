"""The robot and the model that `clad bench --graph` drives: the loopback robot at the wanted rate, random weights."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import yaml

from clad.bench.rows import cpu_bandwidth, weight_bytes
from clad.contract import RobotContract, load_contract
from clad.encoders.encoder import VISION, Encoder
from clad.runtime.bundle import ModelBundle
from clad.runtime.latency import measure

NAME = "random-small"


def contract_at(rate: float, folder: Path) -> tuple[Path, RobotContract]:
    """The fake robot's contract with another control rate, Hz, as a file in `folder`."""
    body = yaml.safe_load((resources.files("clad.contract") / "robots" / "fake.yaml").read_text())
    body["control_rate"] = float(rate)
    file = folder / "fake.yaml"
    file.write_text(yaml.safe_dump(body))
    return file, load_contract(str(file))


def random_model(contract: RobotContract, encoder: Encoder, folder: Path) -> ModelBundle:
    """A model of the shipped size with random weights, for a robot with six joints. Needs torch."""
    from clad.export.sizes import preset, random_bundle

    config, dims = preset("small", ["data.proprio=arm6_ee7"])
    return random_bundle(config, dims, NAME, folder, contract=contract, encoder=encoder)


def floors(bundle: ModelBundle, encoder: Encoder) -> dict[str, float]:
    """Row -> ms that reading its weights takes at this machine's bandwidth."""
    size = {name: weight_bytes(bundle.path / f"{name}.onnx") for name in ("planner", "condition", "denoiser")}
    reads = {
        "encode": (weight_bytes(encoder.path / VISION),) * 2,
        "plan": (size["planner"],) * 2,
        "policy": (
            size["condition"] + size["denoiser"],
            size["condition"] + bundle.diffusion.sample_steps * size["denoiser"],
        ),
    }
    return {name: 1e3 * read / cpu_bandwidth(held) for name, (held, read) in reads.items()}


def baselines(bundle: ModelBundle, contract: RobotContract, decisions: int, threads: int) -> dict[str, float]:
    """Row -> median ms of the same work in this process, without ROS and with nothing beside it."""
    stages = measure(bundle, contract, decisions=decisions, threads=threads)
    names = {"encode": "encode", "plan": "plan", "policy": "policy", "total": "observation to chunk"}
    return {row: 1e3 * sorted(stages[stage])[decisions // 2] for stage, row in names.items()}
