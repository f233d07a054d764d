"""The robot's whole contract inside a data set, so that the data say themselves whom they show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clad.contract import RobotContract, contract_data, load_contract, parse_contract
from clad.errors import CladError, UsageError

KEY = "clad_contract"  # in LeRobot's meta/info.json, LIBERO's attributes of `data`, a recording's metadata (as JSON)
DEFAULT_ROBOT = "libero"


def embed(contract: RobotContract) -> dict[str, Any]:
    """What a data set holds under KEY: plain data, as JSON text where a format has no mappings."""
    return {KEY: contract_data(contract)}


def extract(place: Path, metadata: Mapping[str, Any]) -> RobotContract | None:
    """The contract in a data set's metadata; None where there is none. Raises CladError when it cannot be understood."""
    body = metadata.get(KEY)
    if body is None:
        return None
    try:
        body = json.loads(body) if isinstance(body, str) else body
    except ValueError as error:
        raise CladError(f"{place}: its {KEY} is not JSON: {error}", "The data set is damaged") from error
    return parse_contract(body, f"in {place}")


def require_same(place: Path, embedded: RobotContract | None, contract: RobotContract) -> None:
    """Raises CladError when a data set shows another robot than the one asked for."""
    if embedded is not None and embedded.hash != contract.hash:
        refuse(place, embedded.name, embedded.hash, contract)


def refuse(place: Path, name: str | None, recorded: str, contract: RobotContract) -> None:
    """The one sentence for data of another robot. Raises CladError."""
    raise CladError(
        f"{place} shows robot {name} ({recorded[:12]}), not {contract.name} ({contract.hash[:12]})",
        "Give its --robot, or none where the data hold the contract",
    )


def robot_of(given: str | None, paths: Iterable[Path]) -> RobotContract:
    """The robot asked for or, where nobody asks, the one that the data below `paths` show; LIBERO's where they don't say.

    Raises CladError when there is no data, UsageError when they show several robots.
    """
    from clad.data.sources import embedded_contract, find_paths

    if given is not None:
        return load_contract(given)
    found: dict[str, tuple[RobotContract, Path]] = {}
    for kind, place in (item for path in paths for item in find_paths(path)):
        try:
            contract = embedded_contract(kind, place)
        except CladError:  # whoever reads it says what is wrong with it
            continue
        if contract is not None:
            found.setdefault(contract.hash, (contract, place))
    if len(found) > 1:
        (one, here), (other, there), *_ = found.values()
        raise UsageError(
            f"{here} shows robot {one.name} ({one.hash[:12]}), {there} {other.name} ({other.hash[:12]})",
            "One robot at a time",
        )
    return next(iter(found.values()))[0] if found else load_contract(DEFAULT_ROBOT)
