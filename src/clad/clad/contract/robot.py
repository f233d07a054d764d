"""A robot's contract: one YAML a robot, typed, validated and hashed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from clad.contract.driver import DriverSpec, GripperSpec, driver_problems
from clad.contract.limits import SafetyLimits, limit_problems
from clad.errors import CladError, unknown_name
from clad.typed import typed

REPRESENTATIONS = ("JOINT_POSITION", "JOINT_DELTA", "OSC_POSE_DELTA", "EE_POSE", "EE_TWIST")
MOST_CONTROL_RATE, MOST_PIXELS = 10_000.0, 4096
LEAST_SCALE = 1e-9  # float32 on the wire still tells actions apart
UNHASHED = ("description", "driver", "limits")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSpec:
    """frame: the optical frame that images are stamped with. sim_name: the camera's name in the simulator."""

    frame: str
    sim_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """One action. wire = SI units as in ActionChunk; native = wire / scale, in [-1, 1]."""

    representation: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    scale: tuple[float, ...]
    gripper_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotContract:
    """What a robot is. A model is trained for one contract and refuses any other (see `hash`).

    driver: how its own driver is spoken to; None where there is none, as in LIBERO.
    limits: what it may be told to do; None where nobody has said, and nothing that moves an arm accepts that.
    """

    name: str
    description: str
    joint_names: tuple[str, ...]
    gripper_joint_names: tuple[str, ...]
    base_frame: str
    ee_frame: str
    image_size: int
    cameras: dict[str, CameraSpec]
    control_rate: float
    action: ActionSpec
    driver: DriverSpec | None = None
    limits: SafetyLimits | None = None

    @property
    def control_period(self) -> float:
        """Seconds that one action lasts."""
        return 1.0 / self.control_rate

    @property
    def hash(self) -> str:
        """SHA-256 over what a model depends on: equal hash, equal robot, whatever its driver and its description."""
        body = {name: value for name, value in asdict(self).items() if name not in UNHASHED}
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def load_contract(name_or_path: str) -> RobotContract:
    """The contract of a shipped robot by name, or of a YAML file by path.

    Raises UsageError for an unknown name, CladError for a file that is missing a field or has one too many.
    """
    shipped = resources.files("clad.contract") / "robots"
    if name_or_path.endswith((".yaml", ".yml")):
        source = Path(name_or_path)
        if not source.is_file():
            raise CladError(f"robot contract {source} does not exist", "Give a YAML file or a shipped robot's name")
    else:
        source = shipped / f"{name_or_path}.yaml"
        if not source.is_file():
            raise unknown_name(
                "robot", name_or_path, (f.name[:-5] for f in shipped.iterdir() if f.name.endswith(".yaml"))
            )
    try:
        body = yaml.safe_load(source.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise CladError(f"robot contract {source} is not YAML: {reason}", "Correct the file") from error
    return parse_contract(body, str(source))


def parse_contract(body: object, source: str) -> RobotContract:
    """The contract that a YAML file or a data set holds as plain data. source: where it stands, for the message.

    Raises CladError for anything that is not one, UsageError for a field that no contract has.
    """
    if not isinstance(body, dict):
        raise CladError(f"robot contract {source} is not a mapping", "See clad/contract/robots/libero.yaml")
    try:
        parts = {
            "cameras": {k: _build(CameraSpec, v, f"cameras.{k}") for k, v in body["cameras"].items()},
            "action": _build(ActionSpec, body["action"], "action"),
        }
        if body.get("limits") is not None:
            parts["limits"] = _build(SafetyLimits, body["limits"], "limits")
        if body.get("driver") is not None:
            parts["driver"] = _driver(body["driver"])
        contract = _build(RobotContract, body | parts, "")
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise CladError(
            f"robot contract {source} is malformed: {error}", "See clad/contract/robots/libero.yaml"
        ) from error
    _validate(contract, source)
    return contract


def contract_data(contract: RobotContract) -> dict[str, Any]:
    """The contract as plain data, driver and limits included; `parse_contract` gives the same contract back."""
    return asdict(contract)


def _build(cls, body: dict, where: str):
    known = get_type_hints(cls)
    for key in body:
        if key not in known:
            raise unknown_name("contract field", f"{where}.{key}".lstrip("."), known)
    return cls(**{key: typed(known[key], value, f"{where}.{key}".lstrip(".")) for key, value in body.items()})


def _driver(body: dict) -> DriverSpec:
    return _build(DriverSpec, {**body, "gripper": _build(GripperSpec, body["gripper"], "driver.gripper")}, "driver")


def _validate(c: RobotContract, source: str) -> None:
    a = c.action
    problems = []
    if a.representation not in REPRESENTATIONS:
        problems.append(f"action.representation '{a.representation}' is none of {', '.join(REPRESENTATIONS)}")
    if not len(a.names) == len(a.units) == len(a.scale):
        problems.append("action.names, units and scale differ in length")
    elif not 0 <= a.gripper_index < len(a.names):
        problems.append("action.gripper_index is outside action.names")
    if any(not LEAST_SCALE < s < 1 / LEAST_SCALE for s in a.scale):
        problems.append("action.scale must be positive")
    if len(set(c.joint_names + c.gripper_joint_names)) != len(c.joint_names + c.gripper_joint_names):
        problems.append("joint names repeat")
    if not 1 / MOST_CONTROL_RATE <= c.control_rate <= MOST_CONTROL_RATE:
        problems.append(f"control_rate must be positive, and at most {MOST_CONTROL_RATE:g} Hz")
    if not 0 < c.image_size <= MOST_PIXELS:
        problems.append(f"image_size must be 1 to {MOST_PIXELS} pixels")
    if c.limits is not None:
        problems += limit_problems(c.limits, len(c.joint_names))
    if c.driver is not None:
        problems += driver_problems(
            c.driver,
            joints=len(c.joint_names),
            fingers=len(c.gripper_joint_names),
            cameras=set(c.cameras),
            representation=a.representation,
        )
    if problems:
        raise CladError(f"robot contract {source}: {'; '.join(problems)}", "Correct the file")
