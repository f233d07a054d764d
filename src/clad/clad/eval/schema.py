"""The published schema of result.json, and holding a file against it."""

from __future__ import annotations

from functools import cache
from typing import Any

from clad.errors import CladError
from clad.runtime.catalogue import PRECISIONS
from clad.runtime.joining import STRATEGIES

SCHEMA = 1
OUTCOMES = ("success", "timeout", "aborted")
# what files from before these fields were run with
ABSENT = {
    "precision": "fp32",
    "fused": False,
    "sample_steps": 0,
    "warm_start": False,
    "execution": "sync",  # free-run: hold
    "perturbations": {},
}


def validate(body: Any, source: str = "result") -> None:
    """Check a result's content against schema 1, its summary against its rows too.

    Raises CladError naming the first field that is wrong.
    """
    error = min(_validator().iter_errors(body), key=lambda e: list(map(str, e.absolute_path)), default=None)
    if error is not None:
        where = ".".join(map(str, error.absolute_path)) or "the top level"
        raise CladError(f"{source} breaks the schema at {where}: {error.message}", "It must be a result.json, schema 1")
    k, n = sum(row["success"] for row in body["episodes"]), len(body["episodes"])
    if (body["n"], body["successes"]) != (n, k):
        raise CladError(
            f"{source} says {body['successes']} of {body['n']}, its rows {k} of {n}", "Restore a whole copy"
        )


@cache
def _validator():
    import jsonschema

    return jsonschema.Draft202012Validator(result_schema())


def result_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of result.json."""
    text, number, count, rate = (
        {"type": "string"},
        {"type": "number"},
        {"type": "integer", "minimum": 0},
        {"type": "number", "minimum": 0, "maximum": 1},
    )
    digest = {"type": "string", "pattern": "^([0-9a-f]{64})?$"}  # empty when an episode was aborted before it began
    optional = {"type": ["string", "null"]}

    def record(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
        required = [name for name in properties if name not in ABSENT]
        return {"type": "object", "required": required, "properties": properties, **more}

    row = record(
        {
            "suite": text,
            "task": count,
            "instruction": text,
            "init_index": {"type": ["integer", "null"], "minimum": 0},
            "seed": count,
            "success": {"type": "boolean"},
            "outcome": {"enum": list(OUTCOMES)},
            "steps": count,
            "scene_hash": digest,
            "action_hash": digest,
            "state_hash": digest,
            "bag": optional,
            "video": optional,
            "timing": {"type": "object"},
        },
        additionalProperties=False,
    )
    row["properties"]["safety"] = {"type": ["object", "null"]}  # not required: older files lack it
    return record(
        {
            "schema": {"const": SCHEMA},
            "n": count,
            "successes": count,
            "success_rate": rate,
            "wilson_95": {"type": "array", "items": rate, "minItems": 2, "maxItems": 2},
            "suite": text,
            "protocol": {"enum": ["exact", "classic", "sampled", "robot"]},
            "mode": {"enum": ["lockstep", "free-run"]},
            "visuals": {"enum": ["full", "fast", "camera"]},
            "execution": {"enum": list(STRATEGIES)},
            "perturbations": {"type": "object", "additionalProperties": number},
            "model": record({"name": text, "sha256": digest}),
            "precision": {"enum": list(PRECISIONS)},
            "fused": {"type": "boolean"},
            "sample_steps": count,
            "warm_start": {"type": "boolean"},
            "machine": {"type": "object"},
            "versions": {"type": "object", "additionalProperties": text},
            "started": text,
            "wall_s": number,
            "episodes": {"type": "array", "items": row},
        },
        additionalProperties=False,
    )
