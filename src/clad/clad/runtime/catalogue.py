"""Which model bundles there are, what they were trained on and how their files are called.

Standard library only, so that launch files may ask.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from clad.errors import CladError, unknown_name

SIDECAR = "model.json"
PRECISIONS = ("fp32", "int8", "fp16")
SEMANTIC_PREDICTED = "semantic_predicted"  # planner.onnx has this output only where the model can read the scene back


def models_directories() -> list[Path]:
    """Where models are looked up by name: $CLAD_MODELS_DIR when set, then ./models."""
    places = [Path(p) for p in [os.environ.get("CLAD_MODELS_DIR", "")] if p]
    return [*places, Path("models")]


def bundle_names() -> list[str]:
    """Names of all the bundles that can be loaded by name, sorted."""
    return sorted({f.parent.name for place in models_directories() for f in place.glob(f"*/{SIDECAR}")})


def find_bundle(path_or_name: str | Path, robot: str = "libero") -> Path:
    """The directory of a bundle given by path or by name; when empty, of the default model of `robot`, by contract name.

    Raises UsageError for an unknown name (naming the valid ones), CladError for a directory that holds no model.
    """
    text = str(path_or_name) or default_model(robot)
    candidates = [Path(text)] + ([] if "/" in text else [place / text for place in models_directories()])
    for candidate in candidates:
        if (candidate / SIDECAR).is_file():
            return candidate
    if "/" in text and Path(text).is_dir():
        raise CladError(f"{text} is not a model: it has no {SIDECAR}", "Give a directory that `clad export` wrote")
    raise unknown_name("model", text, bundle_names())


def find_recorded(model_id: str, where: str | Path = "") -> Path:
    """The directory of the very bundle that called itself `model_id` in messages: NAME@first 12 digits of its sha256.

    where: its directory or name; empty: among the models, under whatever name. Raises CladError when that is another one.
    """
    if where:
        candidates = [find_bundle(where)]
    else:
        candidates = [find_bundle(name) for name in bundle_names()]
    found = {path: _id(path) for path in candidates}
    digits = model_id.rpartition("@")[2]
    for path, known in found.items():
        if known.rpartition("@")[2] == digits:
            return path
    there = ", ".join(found.values()) or "none"
    raise CladError(
        f"this was made with {model_id}; there is {there}",
        "Only the very same export repeats: give it with --model DIR",
    )


def _id(bundle: Path) -> str:
    return f"{bundle.name}@{hashlib.sha256((bundle / SIDECAR).read_bytes()).hexdigest()[:12]}"


def default_model(robot: str = "libero") -> str:
    """The first bundle by name that sees (a blind one is a control) and was trained for the robot of that contract.

    Raises CladError when there is none.
    """
    for name in bundle_names():
        try:
            body = json.loads((find_bundle(name) / SIDECAR).read_text())
            if not body["blind"] and robot == body["contract"]["name"]:
                return name
        except (KeyError, TypeError, ValueError):  # damaged: no reason to stop looking
            continue
    where = ", ".join(str(place) for place in models_directories())
    raise CladError(
        f"there is no model for robot {robot} in {where}",
        "Train one (clad train planner, clad train policy, clad export)",
    )


def trained_task(bundle: Path, suite: str = "") -> tuple[str, int]:
    """(suite, task) of the first task of `suite` that a bundle was trained on; of any suite when empty.

    (suite, 0) for a suite that it never saw. Raises CladError for a damaged sidecar.
    """
    try:
        tasks = json.loads((bundle / SIDECAR).read_text())["tasks"]
        known = [(t["suite"], int(t["task"])) for t in tasks if suite in ("", t["suite"])]
    except (KeyError, TypeError, ValueError) as error:
        raise CladError(
            f"{bundle / SIDECAR} is malformed: {error!r}", "Export the model again or fetch a fresh copy"
        ) from error
    return known[0] if known else (suite or "libero_10", 0)


def graph_file(graph: str, precision: str = "fp32") -> str:
    """The file of one of a bundle's networks: `planner.onnx`, `planner.int8.onnx`."""
    return f"{graph}.onnx" if precision == "fp32" else f"{graph}.{precision}.onnx"


def weights_file(graph: str) -> str:
    """The file with a network's weights for torch; only bundles that were exported for it have these."""
    return "planner.safetensors" if graph == "planner" else "policy.safetensors"
