"""security:=true: every node in an enclave that the policy has, keys enforced, and no start without them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from clad.cli.test import checkout
from clad.errors import UsageError
from clad_bringup.graph import robot_graph, sim_graph
from clad_bringup.security import FILES
from clad_bringup.supervisor import command

pytestmark = pytest.mark.usefixtures("models")
ENFORCED = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}
GRAPHS = {"sim": (sim_graph, {}), "loopback": (robot_graph, {"robot": "loopback"}), "fake": (robot_graph, {})}


@pytest.fixture(autouse=True)
def no_keystore(monkeypatch):
    monkeypatch.delenv("ROS_SECURITY_KEYSTORE", raising=False)


@pytest.fixture
def keystore(tmp_path) -> Path:
    """A keystore as the policy makes one, as far as names go."""
    folder = tmp_path / "keystore"
    for item in ElementTree.parse(checkout() / "security" / "clad.policy.xml").getroot().iter("enclave"):
        place = folder / "enclaves" / item.get("path")[1:]
        place.mkdir(parents=True)
        for name in FILES:
            (place / name).touch()
    return folder


@pytest.mark.parametrize("name", GRAPHS)
def test_every_node_has_an_enclave_of_the_policy(name, keystore, tmp_path, monkeypatch):
    graph, args = GRAPHS[name]
    specs = graph({**args, "security": "true", "keystore": str(keystore)})
    for spec in specs:
        assert spec.enclave == f"/clad/{spec.name}"
        assert spec.environment == {**ENFORCED, "ROS_SECURITY_KEYSTORE": str(keystore)}
        line = command(spec, tmp_path)
        assert line[line.index("--enclave") + 1] == spec.enclave and line.index("--enclave") > line.index("--ros-args")
    monkeypatch.setenv("ROS_SECURITY_KEYSTORE", str(keystore))
    assert graph({**args, "security": "true", "out": "x"}) == graph(
        {**args, "security": "true", "out": "x", "keystore": str(keystore)}
    )


@pytest.mark.parametrize("name", GRAPHS)
def test_without_security_nothing_is_added(name, tmp_path):
    graph, args = GRAPHS[name]
    for spec in graph(args):
        assert (spec.enclave, spec.environment) == ("", {}) and "--enclave" not in command(spec, tmp_path)


def test_a_start_without_keys_is_refused(keystore):
    with pytest.raises(UsageError, match="security is asked for without a keystore. Give keystore, or set ROS_SEC"):
        sim_graph({"security": "true"})
    with pytest.raises(UsageError, match="there is no keystore .*/elsewhere. Make it with sros2"):
        sim_graph({"security": "true", "keystore": "elsewhere"})
    (keystore / "enclaves" / "clad" / "planner" / "key.pem").unlink()
    with pytest.raises(UsageError, match="lacks key.pem of enclave /clad/planner"):
        robot_graph({"security": "true", "keystore": str(keystore)})


@pytest.mark.parametrize(("file", "graph"), [("sim", sim_graph), ("robot", robot_graph)])
def test_the_launch_files_secure_every_node(file, graph, keystore, resolve):
    args = {"out": "runs", "security": "true", "keystore": str(keystore)}
    done, out = resolve(args, file)
    assert done.returncode == 0, done.stderr
    nodes = yaml.safe_load(out.read_text())["structure"]["nodes"]
    for spec in graph(args):
        node = nodes[f"/{spec.name}"]
        words = [*node.get("args", []), *node.get("ros_args", [])]
        assert words[words.index("--enclave") + 1] == spec.enclave
        assert {e["name"]: e["value"] for e in node["env"]} == spec.environment
    done, _ = resolve({**args, "keystore": "elsewhere"}, file)
    assert done.returncode != 0 and "there is no keystore" in done.stderr
