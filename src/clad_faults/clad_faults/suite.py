"""Runs faults against a graph and measures what comes of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import rclpy

from clad.contract import RobotContract, load_contract
from clad.errors import CladError, UsageError
from clad_bringup.graph import NodeSpec, robot_graph, sim_graph
from clad_bringup.supervisor import command
from clad_faults.benign import BENIGN_FAULTS
from clad_faults.faults import DRIVER_FAULTS, PROCESS_FAULTS, WIRE_FAULTS, Fault
from clad_faults.report import Row
from clad_faults.rig import DRIVER, NODES, NOWHERE, Rig
from clad_faults.storage import STORAGE_FAULTS
from clad_ros.domain import own_domain
from clad_ros.stamps import to_ns

LONGEST = 3.0  # s that a robot is given to hold; far more than it may need, so that a miss can be told from a delay
Case = Callable[[Rig], Row]


def names() -> list[str]:
    """Every fault, in the order of the table."""
    return [*_wired_cases(), *_driver_cases(), *_direct_cases(), *REFUSALS]


def run_alone(robot: str, model: str, only: list[str], show: Callable[[Row], None]) -> list[Row]:
    """`run_suite` in a ROS domain of its own and a folder that is gone afterwards."""
    with own_domain() as domain, tempfile.TemporaryDirectory(prefix="clad-faults-") as folder:
        rclpy.init(domain_id=domain)
        try:
            return run_suite(robot, model, only, Path(folder), show)
        finally:
            rclpy.try_shutdown()


def run_suite(robot: str, model: str, only: list[str], folder: Path, show: Callable[[Row], None]) -> list[Row]:
    """The rows of all faults, or of those in `only`; each is shown as soon as it is there.

    folder: where the nodes' logs, bags and damaged models go. Raises CladError when the graph does not come up.
    """
    rows: list[Row] = []

    def add(row: Row) -> None:
        rows.append(row)
        show(row)

    specs, bridge, contract = graph_of(robot, model, folder)
    driver = _driver_cases() if contract.driver is not None else {}
    if only and contract.driver is None and (foreign := set(only) & set(_driver_cases())):
        raise UsageError(f"{', '.join(sorted(foreign))}: robot {robot} has no driver", "Choose robot fake or loopback")
    for wired, cases in ((NODES, _wired_cases()), (DRIVER, driver), (NOWHERE, _direct_cases())):
        chosen = [case for name, case in cases.items() if not only or name in only]
        if chosen:
            with _open(specs, bridge, contract, folder, wired=wired) as rig:
                for case in chosen:
                    add(case(rig))
    for name, (injected, damage, words) in REFUSALS.items():
        if not only or name in only:
            good = _planner(specs)
            row = run_refusal(name, injected, damage(good, folder), words, folder)
            add(replace(row, recovered=row.recovered and _comes_up(good, bridge, contract, folder)))
    return rows


def graph_of(
    robot: str, model: str, folder: Path, *, runner: bool = False
) -> tuple[list[NodeSpec], str, RobotContract]:
    """The graph, as a rule without its runner: nodes, the bridge's name, the contract."""
    if robot == "sim":
        arguments = {"mode": "free-run", "visuals": "fast", "model": model, "out": str(folder)}
        specs, bridge = sim_graph(arguments), "sim_bridge"
    else:
        arguments = {"robot": robot, "model": model, "out": str(folder), "instruction": "put the book in the back"}
        specs, bridge = robot_graph(arguments), "robot_bridge"
    specs = [spec for spec in specs if runner or not spec.ends_graph]
    return specs, bridge, load_contract(_planner(specs).parameters["contract"])


def run_hold(rig: Rig, fault: Fault) -> Row:
    """Put one fault in while the robot moves, wait for the hold and its reason, take the fault away, wait for motion."""
    rig.until_moving()
    rig.harmed_at = None
    began, since = time.monotonic(), rig.now()
    fault.inject(rig)
    held, evidence = None, f"it went on moving for {LONGEST:g} s"
    try:
        rig.wait(lambda: rig.first_hold(rig.harmed_at or since) is not None, "a hold", LONGEST)
        held = rig.first_hold(rig.harmed_at or since)
        evidence = f"it held: {held.reason}"
        rig.wait(lambda: _reason(rig, fault, since, began) != "", "the reason", LONGEST)
        evidence = _reason(rig, fault, since, began)
    except CladError:
        pass
    explained = fault.words in evidence
    injected = rig.harmed_at or since
    fault.clear(rig)
    return Row(
        name=fault.name,
        injected=fault.injected,
        detected_after_periods=max(to_ns(held.header.stamp) - injected, 0) / rig.period if held and explained else None,
        state="hold" if held else "moving",
        recovered=rig.recovers(),
        recovery=fault.recovery,
        evidence=evidence,
    )


def run_refusal(name: str, injected: str, spec: NodeSpec, words: str, folder: Path) -> Row:
    """Start one node that must refuse to be configured, with a line that says why."""
    done = subprocess.run(
        command(spec, folder), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=120
    )
    said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}, without a word"])[-1]
    refused = done.returncode == 1 and words in said
    return Row(
        name=name,
        injected=injected,
        detected_after_periods=0.0 if refused else None,
        state="refused at configure" if refused else "started",
        recovered=refused,
        recovery="start it with what the message names",
        evidence=said.replace(str(folder), "…"),
    )


def _comes_up(spec: NodeSpec, bridge: str, contract: RobotContract, folder: Path) -> bool:
    """Whether the node becomes active as the message has told, with the right model and provider."""
    try:
        with _open([spec], bridge, contract, folder, wired=NOWHERE):
            return True
    except CladError:
        return False


# --- the cases by name


def _wired_cases() -> dict[str, Case]:
    held = {fault.name: (lambda rig, fault=fault: run_hold(rig, fault)) for fault in WIRE_FAULTS}
    return {**held, **BENIGN_FAULTS}


def _driver_cases() -> dict[str, Case]:
    return {fault.name: (lambda rig, fault=fault: run_hold(rig, fault)) for fault in DRIVER_FAULTS}


def _direct_cases() -> dict[str, Case]:
    held = {fault.name: (lambda rig, fault=fault: run_hold(rig, fault)) for fault in PROCESS_FAULTS}
    return {**held, **STORAGE_FAULTS}


def _without_gpu(spec: NodeSpec, folder: Path) -> NodeSpec:
    return replace(spec, parameters={**spec.parameters, "provider": "cuda"})


def _truncated(spec: NodeSpec, folder: Path) -> NodeSpec:
    bundle = _copied(spec, folder, "truncated")
    file = bundle / "denoiser.onnx"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return replace(spec, parameters={**spec.parameters, "model": str(bundle)})


def _of_another_robot(spec: NodeSpec, folder: Path) -> NodeSpec:
    bundle = _copied(spec, folder, "foreign")
    sidecar = bundle / "model.json"
    body = json.loads(sidecar.read_text())
    body["contract"] = {"name": "another", "hash": "0" * 64}
    sidecar.write_text(json.dumps(body))
    return replace(spec, parameters={**spec.parameters, "model": str(bundle)})


def _copied(spec: NodeSpec, folder: Path, name: str) -> Path:
    return Path(shutil.copytree(spec.parameters["model"], folder / "models" / name, dirs_exist_ok=True))


# name -> what is wrong, how the planner is made to meet it, part of its refusal
REFUSALS: dict[str, tuple[str, Callable[[NodeSpec, Path], NodeSpec], str]] = {
    "provider_lost": ("the provider asked for is not there (cuda)", _without_gpu, "provider 'cuda'"),
    "model_truncated": ("one network is cut in half", _truncated, "is truncated, altered or from another model"),
    "wrong_robots_model": ("the model is another robot's", _of_another_robot, "was trained for robot 'another'"),
}


def _planner(specs: list[NodeSpec]) -> NodeSpec:
    """Unmanaged: a node that brings itself up says in its exit code whether it could."""
    spec = next(spec for spec in specs if spec.name == "planner")
    return replace(spec, parameters={**spec.parameters, "auto_activate": True})


def _reason(rig: Rig, fault: Fault, since: int, began: float) -> str:
    """The words with which the bridge held, or another node raised its alarm; empty as long as they are not the fault's."""
    for _, message in list(rig.steps):
        if to_ns(message.header.stamp) >= since and fault.words in message.reason:
            return message.reason
    for node in rig.specs:
        status = rig.said(node, fault.words, began)
        if status is not None:
            return f"{node}: {status.message}"
    return ""


@contextmanager
def _open(specs, bridge: str, contract: RobotContract, folder: Path, *, wired: str) -> Iterator[Rig]:
    """The graph, every node active; all of it is gone afterwards."""
    rig = Rig(specs, bridge, contract, folder, wired=wired)
    try:
        rig.start_all()
        yield rig
    finally:
        rig.close()
