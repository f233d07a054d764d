"""Which nodes run, with which parameters: the one description that launch files and the command line both start.

`sim_graph` is LIBERO, `robot_graph` an arm or one that stands in for it: the same planner, policy, recorder and runner.
Plain data, so that two launchers can share it and a test can compare them. Neither launcher knows a node, a parameter
or a remap that is not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import get_package_share_directory

import clad
from clad.cli.options import MODES, OPTIONS, PRECISIONS, PROTOCOLS, PROVIDERS, RENDER, VISUALS
from clad.cli.outputs import new_folder
from clad.errors import UsageError, unknown_name
from clad.runtime.catalogue import find_bundle, trained_task
from clad.runtime.joining import STRATEGIES
from clad_bringup import security


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A launch argument; its value travels as text and becomes a `type` in the nodes' parameters."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()
    type: type = str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """One process. parameters: name -> value, complete. ends_graph: its end is the graph's; any other's end is a fault.

    enclave, environment: its SROS2 enclave and what security adds to the environment; empty without security.
    """

    package: str
    executable: str
    name: str
    parameters: dict[str, Any]
    remappings: tuple[tuple[str, str], ...] = field(default=())
    ends_graph: bool = False
    enclave: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def _shared(name: str, *, type: type = str, choices: tuple[str, ...] = ()) -> Argument:
    """An argument that is also an option of the command line: default and words come from there."""
    option = OPTIONS[name.replace("_", "-")]
    default = option.get("default")
    text = "" if default is None else str(default)
    return Argument(name=name, default=text, description=option["help"], choices=choices, type=type)


def _switch(name: str) -> Argument:
    """An argument that is also a switch of the command line."""
    words = OPTIONS[name.replace("_", "-")]["help"]
    return Argument(name=name, default="false", description=words, choices=("true", "false"), type=bool)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_SECURITY = (_switch("security"), _shared("keystore"))

ARGUMENTS: tuple[Argument, ...] = (
    _shared("suite"),
    _shared("task", type=int),
    _shared("init", type=int),
    _shared("episodes", type=int),
    _shared("seed", type=int),
    _shared("protocol", choices=PROTOCOLS),
    _shared("mode", choices=MODES),
    _shared("visuals", choices=VISUALS),
    _shared("render", choices=RENDER),
    _shared("execution", choices=tuple(STRATEGIES)),
    _shared("max_steps", type=int),
    _shared("model"),
    _shared("provider", choices=PROVIDERS),
    _shared("precision", choices=PRECISIONS),
    _switch("fused"),
    _shared("sample_steps", type=int),
    _switch("warm_start"),
    _shared("threads", type=int),
    _shared("realtime", type=int),
    _shared("out"),
    _shared("json"),
    _switch("resume"),
    Argument(name="contract", default="libero", description="the robot: a shipped contract's name or a YAML file"),
    Argument(
        name="image_size",
        default="0",
        description="pixels of the square camera images; 0: the robot contract's, the only size its models take",
        type=int,
    ),
    Argument(
        name="gl_backend",
        default="auto",
        description="how the simulator draws; auto: egl where it works, else osmesa",
        choices=("auto", "egl", "osmesa"),
    ),
    Argument(
        name="inference_rate",
        default="25.0",
        description="free-run: the most plans made per second of wall time; each is of a new observation",
        type=float,
    ),
    Argument(
        name="real_time_factor",
        default="1.0",
        description="free-run: simulated seconds per second of wall time aimed at",
        type=float,
    ),
    Argument(
        name="camera_rate",
        default="0.0",
        description="free-run: images per simulated second; 0: one at every control step",
        type=float,
    ),
    *_SECURITY,
)

ROBOT_ARGUMENTS: tuple[Argument, ...] = (
    Argument(
        name="robot",
        default="fake",
        description="fake (simulated UR5e), loopback (the same without physics), franka, ur, or a contract's YAML file",
    ),
    _shared("instruction"),
    _shared("init", type=int),
    _shared("episodes", type=int),
    _shared("seed", type=int),
    _shared("execution", choices=tuple(STRATEGIES)),
    Argument(
        name="max_steps", default="600", description="control steps an episode may take; then it is a timeout", type=int
    ),
    _shared("model"),
    _shared("provider", choices=PROVIDERS),
    _shared("precision", choices=PRECISIONS),
    _switch("fused"),
    _shared("sample_steps", type=int),
    _switch("warm_start"),
    _shared("threads", type=int),
    _shared("realtime", type=int),
    _shared("out"),
    _shared("json"),
    _switch("resume"),
    Argument(name="inference_rate", default="25.0", description="the most plans made per second", type=float),
    *_SECURITY,
)

# node -> (package, executable, values that are parameters of the same name), in the order of starting: the
# recorder and monitor before whatever they hear, the runner last. They are stopped in the opposite order.
_NODES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "recorder": ("clad_recorder", "recorder_node", ()),
    "monitor": ("clad_recorder", "monitor_node", ("contract",)),
    "policy": (
        "clad_policy",
        "policy_node",
        (
            *("contract", "model", "provider", "precision", "fused", "sample_steps", "warm_start", "threads"),
            *("execution", "realtime"),
        ),
    ),
    "planner": (
        "clad_planner",
        "planner_node",
        ("contract", "model", "provider", "precision", "threads", "inference_rate", "realtime"),
    ),
    "sim_bridge": (
        "clad_sim_bridge",
        "sim_bridge_node",
        (
            *("contract", "suite", "task", "mode", "visuals", "image_size", "gl_backend", "model"),
            *("execution", "render", "real_time_factor", "camera_rate", "realtime"),
        ),
    ),
    "fake_robot": ("clad_fake_robot", "fake_robot_node", ("contract", "seed", "realtime")),
    "loopback_robot": ("clad_fake_robot", "loopback_robot_node", ("contract", "realtime")),
    "robot_bridge": (
        "clad_robot_bridge",
        "robot_bridge_node",
        ("contract", "instruction", "max_steps", "execution", "model", "realtime"),
    ),
    "manager": ("clad_manager", "manager_node", ()),
    "episode_runner": (
        "clad_recorder",
        "episode_runner_node",
        (
            *("contract", "bridge", "suite", "task", "init", "episodes", "seed", "protocol", "mode", "visuals"),
            *("max_steps", "instruction"),
            *("execution", "model", "precision", "fused", "sample_steps", "warm_start", "out", "json", "resume"),
            *("inference_rate", "camera_rate", "real_time_factor"),
        ),
    ),
}


_SIM = ("recorder", "monitor", "policy", "planner", "sim_bridge", "episode_runner")
_ROBOT = ("recorder", "monitor", "policy", "planner", "robot_bridge", "manager", "episode_runner")
_UNMANAGED = ("monitor", "manager", "episode_runner")  # the arm needs none of them to move safely
# robots that come with a node of their own, which is started too -> the node
_DRIVERS = {"fake": "fake_robot", "loopback": "loopback_robot"}


def sim_graph(args: Mapping[str, str] | None = None) -> list[NodeSpec]:
    """The simulated graph for these launch arguments (name -> text), in the order of starting; absent ones have defaults.

    An empty model is the default one, an empty suite or task the first that it was trained on. Paths become absolute:
    recorder and runner must agree on them. Raises UsageError for an unknown argument or model, or a value that is no
    choice or no number, or security without a keystore that has every node's enclave.
    """
    values = _values(args or {}, ARGUMENTS)
    bundle = find_bundle(values["model"])
    values["suite"], task = trained_task(bundle, values["suite"])
    values["task"] = task if values["task"] is None else values["task"]
    values.update(model=str(bundle.absolute()), bridge="sim_bridge", instruction="")
    return _graph(_SIM, _with_paths(values, "sim"), parameter_file("sim"))


def robot_graph(args: Mapping[str, str] | None = None) -> list[NodeSpec]:
    """The graph on an arm for these launch arguments; as sim_graph, but for the bridge and what there is to choose.

    An empty model is the first that was trained for the robot. Raises UsageError as sim_graph does, and for an unknown
    robot or one without a driver; CladError when there is no model for it.
    """
    values = _values(args or {}, ROBOT_ARGUMENTS)
    robot = values.pop("robot")
    values["contract"] = "fake" if robot == "loopback" else robot
    name = _name_of_arm(values["contract"])
    bundle = find_bundle(values["model"], name)
    values.update(model=str(bundle.absolute()), suite=name, task=0, bridge="robot_bridge")
    values.update(protocol="robot", mode="free-run", visuals="camera", camera_rate=0.0, real_time_factor=1.0)
    order = [*_ROBOT]
    if robot in _DRIVERS:
        order.insert(order.index("robot_bridge"), _DRIVERS[robot])
    return _graph(order, _with_paths(values, "robot"), parameter_file("robot"))


def _name_of_arm(contract: str) -> str:
    """The name in a contract that has a driver. The file's other faults are told by the nodes, which load all of it.

    Not `load_contract`: it needs NumPy, which what resolves a launch file may lack.
    """
    shipped = Path(clad.__file__).parent / "contract" / "robots"
    file = Path(contract) if contract.endswith((".yaml", ".yml")) else shipped / f"{contract}.yaml"
    if not file.is_file():
        raise unknown_name("robot", contract, ["loopback", *(f.stem for f in shipped.glob("*.yaml"))])
    body = yaml.safe_load(file.read_bytes())
    if not isinstance(body, dict) or "driver" not in body:
        raise UsageError(f"robot {contract} has no driver", "Use clad sim for LIBERO; arms: fake, loopback, franka, ur")
    return str(body.get("name", ""))


def _with_paths(values: dict[str, Any], command: str) -> dict[str, Any]:
    """Absolute paths, and a folder of its own for the results where none is named."""
    out = str(Path(values["out"] or new_folder(command)).absolute())
    return {**values, "out": out, "json": str(Path(values["json"]).absolute()) if values["json"] else ""}


def _graph(order: Sequence[str], values: Mapping[str, Any], file: Path) -> list[NodeSpec]:
    fixed = {node: block["ros__parameters"] for node, block in yaml.safe_load(file.read_text()).items()}
    secure = values["security"]
    environment = security.environment(values["keystore"], order) if secure else {}
    graph = []
    for name in order:
        package, executable, settable = _NODES[name]
        parameters = {**fixed[name], **{key: values[key] for key in settable}}
        if name == "recorder":
            parameters["root"] = values["out"]
        if name == "manager":
            parameters["nodes"] = [node for node in order if node not in _UNMANAGED]
        graph.append(
            NodeSpec(
                package=package,
                executable=executable,
                name=name,
                parameters=parameters,
                ends_graph=name == "episode_runner",
                enclave=security.enclave(name) if secure else "",
                environment=environment,
            )
        )
    return graph


def parameter_file(graph: str) -> Path:
    """The installed sim.yaml or robot.yaml."""
    return Path(get_package_share_directory("clad_bringup")) / "config" / f"{graph}.yaml"


def _values(args: Mapping[str, str], arguments: Sequence[Argument]) -> dict[str, Any]:
    known = {argument.name: argument for argument in arguments}
    for name in args:
        if name not in known:
            raise unknown_name("launch argument", name, known)
    return {name: _convert(argument, args.get(name, argument.default)) for name, argument in known.items()}


def _convert(argument: Argument, text: str) -> Any:
    if argument.choices and text not in argument.choices:
        raise unknown_name(argument.name, text, argument.choices)
    if not text and argument.type is not str:
        return None
    convert = _boolean if argument.type is bool else argument.type
    try:
        return convert(text)
    except ValueError:
        raise UsageError(f"launch argument {argument.name}: '{text}' is no {argument.type.__name__}") from None
