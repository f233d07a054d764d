"""The driver section: shipped robots, what is refused, and that models do not depend on it."""

from __future__ import annotations

from importlib import resources

import pytest
import yaml

from clad.contract import load_contract
from clad.contract.driver import CARRIES
from clad.errors import CladError

ROBOTS = resources.files("clad.contract") / "robots"
SHIPPED = sorted(f.name[:-5] for f in ROBOTS.iterdir() if f.name.endswith(".yaml"))


def write(tmp_path, change=lambda body: None):
    body = yaml.safe_load((ROBOTS / "fake.yaml").read_text())
    change(body)
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.safe_dump(body))
    return str(path)


@pytest.mark.parametrize("robot", SHIPPED)
def test_every_shipped_robot_loads_under_its_own_name_and_shows_the_same_streams(robot):
    contract, libero = load_contract(robot), load_contract("libero")
    assert contract.name == robot
    assert list(contract.cameras) == list(libero.cameras) and contract.image_size == libero.image_size
    assert {c.frame for c in contract.cameras.values()} == {c.frame for c in libero.cameras.values()}
    assert contract.action.names == libero.action.names and contract.action.units == libero.action.units
    assert (contract.driver is None) == (robot == "libero")


def test_the_shipped_robots_are_the_four_that_are_documented():
    assert SHIPPED == ["fake", "franka", "libero", "ur"]
    assert len({load_contract(robot).hash for robot in SHIPPED}) == len(SHIPPED)


def test_another_driver_is_the_same_robot(tmp_path):
    changed = load_contract(write(tmp_path, lambda b: b["driver"].update(command="/other", home_speed=0.1)))
    assert changed.hash == load_contract("fake").hash
    assert load_contract(write(tmp_path, lambda b: b.pop("driver"))).hash == load_contract("fake").hash


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda b: b["driver"].update(kind="torque"), "driver.kind 'torque' is none of joint_trajectory, twist, pose"),
        (lambda b: b["driver"]["home"].pop(), "driver.home has 5 numbers, not 6"),
        (lambda b: b["driver"].update(kind="pose"), "driver.home has 6 numbers, not 7"),
        (lambda b: b["driver"].pop("model"), "driver.model is needed for OSC_POSE_DELTA"),
        (lambda b: b["driver"]["images"].pop("wrist"), "driver.images does not name exactly"),
        (lambda b: b["driver"]["gripper"].update(open=[0.04]), "open and close are not 2 numbers"),
        (lambda b: b["driver"].update(home_speed=0), "must be positive"),
        (lambda b: b["driver"].pop("command"), "malformed"),
        (lambda b: b["driver"].update(comand="/x"), "unknown contract field 'driver.comand'. Did you mean command"),
        (lambda b: b["driver"]["gripper"].update(opne=1), "unknown contract field 'driver.gripper.opne'"),
    ],
)
def test_a_driver_that_does_not_fit_is_refused_with_the_reason(tmp_path, change, reason):
    with pytest.raises(CladError, match=reason):
        load_contract(write(tmp_path, change))


@pytest.mark.parametrize("kind", [kind for kind in CARRIES if kind != "joint_trajectory"])
def test_joint_actions_need_a_joint_driver(tmp_path, kind):
    def change(body):
        body["driver"].update(kind=kind, home=[0, 0, 0, 0, 0, 0, 1])
        body["action"].update(representation="JOINT_DELTA")

    with pytest.raises(CladError, match=f"a {kind} driver cannot carry JOINT_DELTA"):
        load_contract(write(tmp_path, change))
