"""The images and the compose file name what exists. They are not built here: there is no container engine."""

from __future__ import annotations

import re

import pytest
import yaml

from clad.cli.test import checkout

DOCKERFILE = (checkout() / "docker" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((checkout() / "docker" / "compose.yaml").read_text())
TARGETS = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.M)


def test_every_copied_path_and_requirements_file_exists():
    copied = [line.split()[1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
    required = re.findall(r"-[rc] (requirements/\S+)", DOCKERFILE)
    assert {"src", "launch", "models"} <= set(copied) and len(required) >= 3
    assert not [path for path in [*copied, *required] if not (checkout() / path).exists()]


def test_both_targets_end_as_a_user_who_is_not_root():
    assert TARGETS == ["cpu", "cuda"]
    for stage in re.split(r"^FROM ", DOCKERFILE, flags=re.M)[1:]:
        assert re.findall(r"^USER (\d+)$", stage, re.M)[-1] == "10001"


def test_the_images_are_pinned_to_a_release_and_never_hold_both_onnxruntimes():
    assert re.search(r"^ARG ROS_IMAGE=ros:jazzy-\S+$", DOCKERFILE, re.M) and "latest" not in DOCKERFILE
    gpu = DOCKERFILE.split("AS cuda")[1]
    assert gpu.index("pip uninstall") < gpu.index("onnxruntime-gpu[") and re.search(r"onnxruntime-gpu\S*==\d", gpu)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_services_run_nodes_that_exist_on_loopback_without_privileges(name):
    service = COMPOSE["services"][name]
    assert service["build"]["target"] in TARGETS and service["image"] == f"clad:{service['build']['target']}"
    assert service["environment"]["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "${DISCOVERY:-LOCALHOST}"
    assert service["cap_drop"] == ["ALL"] and service["user"] == "10001" and not service.get("privileged")
    _, verb, package, what = service["command"][:4]
    if verb == "launch":
        assert (checkout() / "launch" / "launch" / what).is_file()
    else:
        assert f'"{what} = ' in (checkout() / "src" / package / "setup.py").read_text()


def test_the_robots_profile_has_every_node_that_its_manager_brings_up_and_inference_on_a_gpu():
    services = {n: s for n, s in COMPOSE["services"].items() if "robot" in s["profiles"]}
    managed = set(yaml.safe_load(services["manager"]["command"][-1].removeprefix("nodes:=")))
    assert managed == set(services) - {"manager"} == {"recorder", "planner", "policy", "robot_bridge"}
    assert all("auto_activate:=false" in services[name]["command"] for name in managed)
    gpu = {n for n, s in COMPOSE["services"].items() if "deploy" in s}
    assert gpu == {"planner", "policy"} == {n for n, s in COMPOSE["services"].items() if s["image"] == "clad:cuda"}
