"""Contracts: what is loaded, what is refused, and when two robots are the same."""

from importlib import resources

import pytest
import yaml

from clad.contract import load_contract
from clad.errors import CladError, UsageError

YAML = (resources.files("clad.contract") / "robots" / "libero.yaml").read_text()


def write(tmp_path, change=lambda body: None):
    body = yaml.safe_load(YAML)
    change(body)
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.safe_dump(body))
    return str(path)


def test_libero():
    contract = load_contract("libero")
    assert list(contract.cameras) == ["agentview", "wrist"]
    assert contract.cameras["wrist"].sim_name == "robot0_eye_in_hand"
    assert len(contract.joint_names) == 7 and len(contract.gripper_joint_names) == 2
    assert contract.control_period == pytest.approx(0.05)
    assert contract.action.names == ("dx", "dy", "dz", "rx", "ry", "rz", "gripper")


def test_the_hash_is_stable_ignores_the_description_and_nothing_else(tmp_path):
    libero = load_contract("libero")
    assert load_contract(write(tmp_path)).hash == libero.hash
    assert load_contract(write(tmp_path, lambda b: b.update(description="else"))).hash == libero.hash
    for change in (
        lambda b: b.update(control_rate=10.0),
        lambda b: b["action"]["scale"].__setitem__(0, 0.04),
        lambda b: b["cameras"]["wrist"].update(frame="other"),
        lambda b: b["joint_names"].reverse(),
    ):
        assert load_contract(write(tmp_path, change)).hash != libero.hash


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda b: b["action"].update(representation="TORQUE"), "'TORQUE' is none of JOINT_POSITION"),
        (lambda b: b["action"]["units"].pop(), "differ in length"),
        (lambda b: b["action"].update(gripper_index=7), "gripper_index is outside"),
        (lambda b: b["action"]["scale"].__setitem__(0, 0.0), "scale must be positive"),
        (lambda b: b["joint_names"].__setitem__(1, b["joint_names"][0]), "joint names repeat"),
        (lambda b: b.update(control_rate=0), "control_rate must be positive"),
        (lambda b: b.pop("cameras"), "malformed"),
        (lambda b: b.pop("base_frame"), "malformed"),
        (lambda b: b.update(joint_nmaes=[]), "unknown contract field 'joint_nmaes'. Did you mean joint_names"),
        (lambda b: b["cameras"]["wrist"].update(fov=1), "unknown contract field 'cameras.wrist.fov'"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path, change, reason):
    with pytest.raises(CladError, match=reason):
        load_contract(write(tmp_path, change))


def test_unknown_robots_and_files(tmp_path):
    with pytest.raises(UsageError, match="unknown robot 'libreo'. Did you mean libero"):
        load_contract("libreo")
    with pytest.raises(CladError, match="does not exist"):
        load_contract(str(tmp_path / "none.yaml"))
    empty = tmp_path / "empty.yaml"
    empty.write_text("- a list\n")
    with pytest.raises(CladError, match="is not a mapping"):
        load_contract(str(empty))
