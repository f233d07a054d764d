"""The graph's description, and that `sim.launch.py` starts exactly it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ament_index_python.packages import get_package_prefix

from clad.cli.options import OPTIONS
from clad.errors import CladError, UsageError
from clad_bringup.graph import ARGUMENTS, ROBOT_ARGUMENTS, parameter_file, robot_graph, sim_graph

CHANGED = {
    "suite": "libero_object",
    "task": "3",
    "init": "7",
    "episodes": "2",
    "seed": "5",
    "protocol": "classic",
    "mode": "free-run",
    "visuals": "fast",
    "render": "decoupled",
    "max_steps": "99",
    "model": "models/other",
    "provider": "cuda",
    "precision": "int8",
    "fused": "true",
    "sample_steps": "4",
    "warm_start": "true",
    "threads": "2",
    "realtime": "5",
    "out": "elsewhere",
    "json": "result.json",
    "resume": "true",
    "contract": "other",
    "image_size": "256",
    "gl_backend": "osmesa",
    "inference_rate": "12.5",
    "execution": "blend",
    "real_time_factor": "0.5",
    "camera_rate": "10.0",
}


pytestmark = pytest.mark.usefixtures("models")


def parameters(graph) -> dict[str, dict]:
    return {spec.name: spec.parameters for spec in graph}


SECURITY = {"security", "keystore"}  # no node's parameters: they have tests of their own


def every_node():
    """One specification of each node that any graph has."""
    graphs = sim_graph() + robot_graph() + robot_graph({"robot": "loopback"})
    return list({spec.name: spec for spec in graphs}.values())


def test_every_argument_is_described_and_changes_some_node():
    assert {a.name for a in ARGUMENTS} == set(CHANGED) | SECURITY
    default = parameters(sim_graph({"out": "runs"}))
    for argument in ARGUMENTS:
        assert argument.description and (not argument.choices or argument.default in argument.choices)
        if argument.name in SECURITY:
            continue
        assert parameters(sim_graph({"out": "runs", argument.name: CHANGED[argument.name]})) != default, argument.name


def test_shared_arguments_have_the_command_lines_defaults_and_choices():
    for argument in ARGUMENTS:
        option = OPTIONS.get(argument.name.replace("_", "-"))
        if option is not None and option.get("action") == "store_true":
            assert (argument.default, argument.choices) == ("false", ("true", "false"))
        elif option is not None:
            assert argument.default == ("" if option["default"] is None else str(option["default"]))
            assert argument.choices == tuple(option.get("choices", ()))


def test_nothing_is_set_twice():
    robots = [spec.name for robot in ("fake", "loopback") for spec in robot_graph({"robot": robot})]
    for file, nodes, arguments in (
        ("sim", [spec.name for spec in sim_graph()], ARGUMENTS),
        ("robot", robots, ROBOT_ARGUMENTS),
    ):
        fixed = yaml.safe_load(parameter_file(file).read_text())
        assert set(fixed) == set(nodes)
        for node, block in fixed.items():
            assert not set(block["ros__parameters"]) & {a.name for a in arguments}, node


def test_sim_time_everywhere_but_in_the_runner_which_ends_the_graph():
    graph = sim_graph()
    assert {s.name for s in graph if not s.parameters["use_sim_time"]} == {"episode_runner"}
    assert [s.name for s in graph if s.ends_graph] == ["episode_runner"] == [graph[-1].name]
    assert graph[0].name == "recorder"


def test_model_suite_and_task_have_defaults_that_fit_each_other(tmp_path):
    nodes = parameters(sim_graph())
    assert nodes["planner"]["model"] == nodes["policy"]["model"] == str(tmp_path / "models" / "first")
    assert (nodes["sim_bridge"]["suite"], nodes["sim_bridge"]["task"]) == ("libero_10", 5)
    nodes = parameters(sim_graph({"model": "models/other"}))
    assert (nodes["episode_runner"]["suite"], nodes["episode_runner"]["task"]) == ("libero_10", 2)
    nodes = parameters(sim_graph({"suite": "libero_object"}))
    assert (nodes["sim_bridge"]["suite"], nodes["sim_bridge"]["task"]) == ("libero_object", 0)


def test_every_start_has_a_folder_of_its_own(tmp_path):
    assert re.fullmatch(rf"{tmp_path}/runs/sim-\d{{8}}-\d{{6}}", parameters(sim_graph())["recorder"]["root"])


def test_recorder_and_runner_agree_on_an_absolute_directory(tmp_path):
    nodes = parameters(sim_graph({"out": "a/b", "json": "r.json"}))
    assert nodes["recorder"]["root"] == nodes["episode_runner"]["out"] == str(tmp_path / "a" / "b")
    assert nodes["episode_runner"]["json"] == str(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"tusk": "1"}, "unknown launch argument 'tusk'. Did you mean task"),
        ({"mode": "lock"}, "unknown mode 'lock'"),
        ({"task": "one"}, "launch argument task: 'one' is no int"),
        ({"resume": "1"}, "unknown resume '1'"),
        ({"model": "furst"}, "unknown model 'furst'. Did you mean first"),
    ],
)
def test_bad_arguments_are_refused(args, message):
    with pytest.raises(UsageError, match=message):
        sim_graph(args)


def test_every_executable_is_built():
    for spec in every_node():
        assert (Path(get_package_prefix(spec.package)) / "lib" / spec.package / spec.executable).is_file()


@pytest.mark.parametrize("args", [{"out": "runs"}, CHANGED], ids=["defaults", "all changed"])
def test_both_launchers_start_the_same_nodes_with_the_same_parameters(resolve, args):
    done, out = resolve(args)
    assert done.returncode == 0, done.stderr
    nodes = yaml.safe_load(out.read_text())["structure"]["nodes"]
    described = {f"/{spec.name}": spec for spec in sim_graph(args)}
    assert set(nodes) == set(described)
    for name, spec in described.items():
        node = nodes[name]
        assert (node["pkg"], node["exec"], node["node_name"]) == (spec.package, spec.executable, spec.name)
        assert node["params"] == spec.parameters
        assert {k: type(v) for k, v in node["params"].items()} == {k: type(v) for k, v in spec.parameters.items()}
        assert [tuple(r) for r in node.get("remaps", [])] == list(spec.remappings)
        assert node["on_exit"] == "shutdown"


def test_robot_launch_starts_the_graph_of_the_arm(resolve):
    for args in ({"out": "runs", "robot": "loopback"}, CHANGED_ROBOT):
        done, out = resolve(args, "robot")
        assert done.returncode == 0, done.stderr
        nodes = yaml.safe_load(out.read_text())["structure"]["nodes"]
        described = {f"/{spec.name}": spec for spec in robot_graph(args)}
        assert set(nodes) == set(described)
        for name, spec in described.items():
            assert (nodes[name]["pkg"], nodes[name]["exec"]) == (spec.package, spec.executable)
            assert nodes[name]["params"] == spec.parameters


def test_the_launch_file_declares_its_choices(resolve):
    done, out = resolve({"mode": "lock"})
    assert done.returncode != 0 and not out.exists() and "lockstep" in done.stderr


def test_nodes_declare_every_parameter_that_the_graph_sets(tmp_path):
    """A misspelt parameter would be ignored in silence: ask each real node for the names it has declared."""
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE)
    for spec in every_node():
        done = subprocess.run(
            [sys.executable, probe, spec.package, spec.executable], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert set(spec.parameters) <= set(done.stdout.split()), spec.name


# constructs the node behind a console script, which declares its parameters and does no work yet
PROBE = """
import importlib.metadata, sys
import rclpy
from rclpy.node import Node
package, executable = sys.argv[1:]
(script,) = (e for e in importlib.metadata.distribution(package).entry_points if e.name == executable)
module = sys.modules[script.load().__module__]
rclpy.init()
kinds = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Node) and v.__module__ == module.__name__]
(kind,) = kinds
print(*kind().list_parameters([], 0).names, sep="\\n")
"""


# ---- robots


CHANGED_ROBOT = {
    "robot": "ur",
    "instruction": "put it away",
    "init": "7",
    "episodes": "2",
    "seed": "5",
    "execution": "blend",
    "max_steps": "99",
    "model": "models/other",
    "provider": "cuda",
    "precision": "int8",
    "fused": "true",
    "sample_steps": "4",
    "warm_start": "true",
    "threads": "2",
    "realtime": "5",
    "out": "elsewhere",
    "json": "result.json",
    "resume": "true",
    "inference_rate": "12.5",
}


def test_every_robot_argument_is_described_and_changes_some_node():
    assert {a.name for a in ROBOT_ARGUMENTS} == set(CHANGED_ROBOT) | SECURITY
    default = parameters(robot_graph({"out": "runs", "model": "reach"}))
    for argument in ROBOT_ARGUMENTS:
        if argument.name in SECURITY:
            continue
        changed = {"out": "runs", "model": "reach", argument.name: CHANGED_ROBOT[argument.name]}
        assert argument.description and parameters(robot_graph(changed)) != default, argument.name


@pytest.mark.parametrize("robot", ["fake", "loopback", "franka", "ur"])
def test_simulator_and_arm_differ_only_in_contract_clock_and_bridge(robot):
    """The swap: the same planner, policy, recorder and runner processes, with equal parameters elsewhere."""
    given = {"out": "runs", "model": "first", "execution": "blend", "threads": "2"}
    sim = {spec.name: spec for spec in sim_graph({**given, "mode": "free-run"})}
    arm = {spec.name: spec for spec in robot_graph({**given, "robot": robot})}
    own = {"fake": {"fake_robot"}, "loopback": {"loopback_robot"}}.get(robot, set())
    assert set(sim) ^ set(arm) == {"sim_bridge", "robot_bridge", "manager"} | own
    for name in ("recorder", "planner", "policy"):
        assert (sim[name].package, sim[name].executable) == (arm[name].package, arm[name].executable)
        differing = {k for k in sim[name].parameters if sim[name].parameters[k] != arm[name].parameters[k]}
        assert differing <= {"contract", "use_sim_time", "auto_activate"} and set(sim[name].parameters) == set(
            arm[name].parameters
        )
    contracts = {spec.parameters["contract"] for spec in arm.values() if "contract" in spec.parameters}
    assert contracts == {"fake" if robot == "loopback" else robot}
    assert not any(spec.parameters["use_sim_time"] for spec in arm.values())
    assert [n for n, spec in arm.items() if spec.ends_graph] == ["episode_runner"] == [list(arm)[-1]]


def test_a_robots_model_is_one_of_its_own(tmp_path):
    assert parameters(robot_graph())["planner"]["model"] == str(tmp_path / "models" / "reach")
    with pytest.raises(CladError, match="there is no model for robot ur"):
        robot_graph({"robot": "ur"})
    with pytest.raises(UsageError, match="unknown robot 'fak'. Did you mean fake"):
        robot_graph({"robot": "fak"})
    with pytest.raises(UsageError, match="robot libero has no driver"):
        robot_graph({"robot": "libero"})
