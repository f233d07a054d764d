"""Data say themselves which robot they show: the contract travels in them, and another one is refused."""

import dataclasses
import json
from importlib import resources

import h5py
import pytest
import tiny_bag
import yaml
from random_episode import make_episode

from clad.bag.recording import read_recording
from clad.cli.main import main
from clad.contract import contract_data, load_contract, parse_contract
from clad.data import features, lerobot, libero_hdf5
from clad.data.convert import convert
from clad.data.embedded import KEY, robot_of
from clad.data.lerobot_writer import DatasetWriter
from clad.data.sources import find_sources
from clad.errors import CladError, UsageError

LIBERO = load_contract("libero")
SHIPPED = sorted(file.name[:-5] for file in (resources.files("clad.contract") / "robots").iterdir())


@pytest.mark.parametrize("robot", SHIPPED)
def test_a_contract_survives_as_plain_data(robot):
    contract = load_contract(robot)
    assert parse_contract(json.loads(json.dumps(contract_data(contract))), "here") == contract


def mine(tmp_path, **changes):
    """A robot that is not shipped: LIBERO's with another name, as a file and as a contract."""
    body = yaml.safe_load((resources.files("clad.contract") / "robots" / "libero.yaml").read_text())
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(body | {"name": "mine"} | changes))
    return file, load_contract(str(file))


def dataset(root, contract, steps=5, size=16):
    writer = DatasetWriter(root, contract)
    for seed in range(3):
        writer.add(make_episode(steps, seed, size=size))
    writer.close()
    return root


def test_both_kinds_hold_the_contract_and_refuse_another(tmp_path):
    root = dataset(tmp_path / "lr", LIBERO)
    assert lerobot.embedded_contract(root) == LIBERO
    assert json.loads((root / "meta/info.json").read_text())[KEY]["joint_names"] == list(LIBERO.joint_names)
    list(convert(find_sources(root), tmp_path / "hdf5", "libero", LIBERO))
    file = next((tmp_path / "hdf5").rglob("*.hdf5"))
    assert libero_hdf5.embedded_contract(file) == LIBERO
    slower = dataclasses.replace(LIBERO, image_size=64)
    for source in (*find_sources(root), *find_sources(file)):
        with pytest.raises(CladError, match=r"shows robot libero \(.{12}\), not libero \(.{12}\). Give its --robot"):
            source.read(slower)


def test_a_contract_that_cannot_be_understood_is_named(tmp_path):
    root = dataset(tmp_path / "lr", LIBERO)
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(info | {KEY: info[KEY] | {"wheels": 4}}))
    with pytest.raises(CladError, match="unknown contract field 'wheels'"):
        find_sources(root)[0].read(LIBERO)
    list(convert(find_sources(dataset(tmp_path / "other", LIBERO)), tmp_path / "hdf5", "libero", LIBERO))
    file = next((tmp_path / "hdf5").rglob("*.hdf5"))
    with h5py.File(file, "r+") as hdf5:
        hdf5["data"].attrs[KEY] = "{"
    with pytest.raises(CladError, match=f"its {KEY} is not JSON"):
        find_sources(file)[0].read(LIBERO)


def test_the_robot_is_the_one_asked_for_or_the_datas_or_liberos(tmp_path):
    _, contract = mine(tmp_path)
    ours, theirs = dataset(tmp_path / "ours", contract), dataset(tmp_path / "theirs", LIBERO)
    bag = tiny_bag.write_bag(tmp_path / "bag", [])
    foreign = tiny_bag.write_bag(tmp_path / "foreign", [], {})
    assert robot_of(None, [ours]) == contract
    assert robot_of("fake", [ours]).name == "fake"
    assert robot_of(None, [bag, theirs]) == robot_of(None, [foreign]) == LIBERO
    with pytest.raises(UsageError, match="ours shows robot mine .* libero .*One robot at a time"):
        robot_of(None, [ours, theirs])
    with pytest.raises(CladError, match="no demonstration in"):
        robot_of(None, [tmp_path / "nothing"])


def test_a_recording_holds_its_robot_too(tmp_path):
    """No --robot is needed for a robot of one's own; and its report needs none either."""
    _, contract = mine(tmp_path)
    told = {"contract": "mine", "contract_hash": contract.hash, KEY: json.dumps(contract_data(contract))}
    bag = tiny_bag.write_bag(tmp_path / "bag", tiny_bag.messages(tiny_bag.data()), told)
    assert robot_of(None, [bag]) == contract
    (source,) = find_sources(bag)
    assert KEY not in source.read(contract).meta
    assert read_recording(bag).episodes[0].figures.steps == tiny_bag.STEPS
    with pytest.raises(CladError, match="shows robot mine"):
        source.read(LIBERO)


def test_a_robot_that_is_not_shipped_can_be_checked_and_encoded_from_its_data_alone(tmp_path, tiny_models, capsys):
    _, contract = mine(tmp_path)
    root = dataset(tmp_path / "lr", contract, size=128)
    assert main(["data", "check", str(root)]) == 0
    cache = tmp_path / "features"
    assert (
        main(["encode", "--demos", str(root), "--encoder", str(tiny_models / "encoder-tiny"), "--out", str(cache)]) == 0
    )
    assert features.cached_contract(cache) == contract
    (cache / features.ROBOT).unlink()  # as in a cache of an older version
    with pytest.raises(UsageError, match="unknown robot 'mine'"):
        features.cached_contract(cache)
