"""`clad doctor`: what works on this machine, and what to do about the rest. Each check tries the real thing."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from clad.cli import options
from clad.cli.running import ros_module
from clad.cli.test import checkout
from clad.errors import CladError, UsageError

HELP = "check this machine and installation, or a running graph, with a remedy for each fault"

EXAMPLES = """\
  clad doctor
  clad doctor --json doctor.json    the same, for scripts
  clad doctor --graph               listen to the running graph: what is wrong with it?
"""

FREE_GIB = 3.0  # a recorded episode takes 50 to 150 MB, demonstrations some GB

# A red square must come out red: a context that can be made but doesn't draw is of no use.
_DRAW = """
import mujoco
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><light pos="0 0 3"/><camera pos="0 0 1"/>'
    '<geom type="box" size="1 1 .01" rgba="1 0 0 1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 32, 32) as renderer:
    renderer.update_scene(data, camera=0)
    r, g, b = renderer.render()[16, 16]
assert r > g + 50 and r > b + 50, (r, g, b)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found. remedy: what to do, empty when ok."""

    check: str
    ok: bool
    detail: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--graph",
        action="store_true",
        help="read the graph that runs on this ROS domain instead of checking the machine",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=3.0,
        metavar="S",
        help="with --graph: how long to listen (default: %(default)s)",
    )
    options.add(parser, "json", json={"help": "also write the findings to FILE"})


def run(args: argparse.Namespace) -> int:
    """Exit 0 when everything works, 1 otherwise."""
    findings = []
    if not args.seconds > 0:
        raise UsageError(f"--seconds {args.seconds:g} is no time", "3 is the default")
    for finding in graph(args.seconds) if args.graph else examine(CHECKS):
        findings.append(finding)
        print(f"{'✓' if finding.ok else '✗'} {finding.check}: {finding.detail}", flush=True)
        if finding.remedy:
            print(f"    → {finding.remedy}", flush=True)
    if args.json:
        Path(args.json).write_text(
            json.dumps({"schema": 1, "findings": [asdict(f) for f in findings]}, indent=2) + "\n"
        )
    faults = [f.check for f in findings if not f.ok]
    print(f"{len(faults)} faults: {', '.join(faults)}" if faults else "everything works")
    return 1 if faults else 0


def graph(seconds: float) -> Iterator[Finding]:
    """What a few seconds of listening tell of the running graph: one finding a fault, or one that all is well."""
    from clad.health import faults

    snapshot, contract = ros_module("clad_ros.snapshot").take(seconds)
    found = faults(snapshot, contract)
    for fault in found:
        yield Finding(check=fault.about, ok=False, detail=fault.words, remedy=fault.remedy)
    if not found:
        episode = (
            f"an episode runs ({snapshot.mode})" if snapshot.running else "no episode runs, so streams may be quiet"
        )
        heard = ", ".join(f"{s.topic} {s.heard / snapshot.seconds:.1f} Hz" for s in snapshot.streams if s.heard)
        nodes = ", ".join(snapshot.nodes)
        yield Finding(check="graph", ok=True, detail=f"{contract.name}: {nodes} are active; {episode}; {heard}")


def examine(checks: dict[str, Callable[[], str]]) -> Iterator[Finding]:
    """Run each check. It returns what works in words, or raises CladError with the remedy; any other error is a fault too."""
    for name, check in checks.items():
        try:
            yield Finding(check=name, ok=True, detail=check())
        except CladError as error:
            yield Finding(check=name, ok=False, detail=error.message, remedy=error.remedy)
        except Exception as error:
            yield Finding(
                check=name, ok=False, detail=f"{type(error).__name__}: {error}", remedy="Run ./clad --setup-only"
            )


def python() -> str:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 10):
        raise CladError(f"Python {found} is too old", "Use Python 3.11: CLAD_PYTHON=/path/to/python3.11 ./clad doctor")
    return f"{found} in {sys.prefix}"


def packages() -> str:
    """The pins in requirements/ against what is installed; the training lists may be absent as a whole."""
    folder = checkout() / "requirements"
    in_venv = (
        sys.prefix != sys.base_prefix
    )  # else ROS 2 is the system's, and the wheels' versions are none of its business
    wanted = _pins(folder, "ros", "test", "sim", "runtime") if in_venv else _pins(folder, "sim", "runtime", "native")
    training = _pins(folder, "train", "encoder")
    trains = any(installed(name) for name in training)
    if trains:
        wanted |= training
    wrong = [
        f"{name} {installed(name) or 'missing'} (pinned {pin})"
        for name, pin in wanted.items()
        if installed(name) != pin
    ]
    if wrong:
        raise CladError("; ".join(wrong), "Delete .venv/base.stamp and run ./clad --setup-only")
    return f"{len(wanted)} pinned packages" + ("" if trains else "; training is installed when first needed")


def _pins(folder: Path, *lists: str) -> dict[str, str]:
    return {name: pin for part in lists for name, pin in pins(folder / f"{part}.txt").items()}


def pins(file: Path) -> dict[str, str]:
    """The name==version lines of a requirements file."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s#]+)", file.read_text(), flags=re.MULTILINE))


def installed(name: str) -> str | None:
    """The version of a distribution without its build suffix, or None."""
    try:
        return version(name).split("+")[0]
    except PackageNotFoundError:
        return None


def libero() -> str:
    from clad.sim import suites, upstream

    total = sum(suites.n_tasks(suite) for suite in suites.SUITES)
    info = suites.task_info("libero_10", 0)
    assets = sum(1 for path in Path(upstream.path("assets")).rglob("*") if path.is_file())
    return f"{total} tasks in {len(suites.SUITES)} suites, {info.n_init_states} evaluation states a task, {assets} asset files"


def drawing() -> str:
    """At least one way to draw without a screen."""
    works, errors = [], []
    for backend in ("egl", "osmesa"):
        env = {**os.environ, "MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend, "LP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-c", _DRAW], env=env, capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            works.append(backend)
        else:
            errors.append(f"{backend}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    if not works:
        raise CladError("; ".join(errors), "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri, or libosmesa6")
    rest = [error.split(":")[0] for error in errors]
    return f"works with {' and '.join(works)}" + (f" (not with {rest[0]}; one is enough)" if rest else "")


def _ros(name: str) -> Callable[[], str]:
    """A check that lives with the ROS packages."""

    return lambda: getattr(ros_module("clad_ros.checks"), name)()


def models() -> str:
    """Every bundle and encoder in the models directory, checksums included."""
    from clad.encoders.encoder import read_sidecar
    from clad.runtime.bundle import load_bundle

    folder = Path(os.environ.get("CLAD_MODELS_DIR", "models"))
    bundles = sorted(p.parent for p in folder.glob("*/model.json"))
    encoders = sorted(p.parent for p in folder.glob("*/encoder.json"))
    for encoder in encoders:
        read_sidecar(encoder)
    for bundle in bundles:
        load_bundle(bundle)
    if not bundles or not encoders:
        missing = " and no ".join(kind for kind, found in (("model", bundles), ("encoder", encoders)) if not found)
        raise CladError(f"no {missing} in {folder}", "Set CLAD_MODELS_DIR, or take models/ from the repository")
    return f"{', '.join(p.name for p in bundles + encoders)} in {folder}: intact"


def disk() -> str:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    if free < FREE_GIB:
        raise CladError(f"{free:.1f} GiB free in {Path.cwd()}", f"Make room: bags and videos want {FREE_GIB:g} GiB")
    return f"{free:.0f} GiB free in {Path.cwd()}"


CHECKS: dict[str, Callable[[], str]] = {
    "python": python,
    "packages": packages,
    "libero": libero,
    "drawing": drawing,
    "interfaces": _ros("interfaces"),
    "discovery": _ros("discovery"),
    "models": models,
    "disk": disk,
}
