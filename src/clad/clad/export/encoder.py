"""What every kind of encoder's export ends with: the sidecar that makes a folder of graphs an encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from clad.encoders.encoder import FILES, SCHEMA, SIDECAR, Encoder, encoder_id
from clad.export.graph import sha256_of


def finish_encoder(
    out: Path, name: str, *, vision: dict, text: dict, check: Callable[[Encoder], dict[str, float]]
) -> dict:
    """Write encoder.json beside the graphs and tokenizer in `out`; returns it.

    vision, text: what it says of either, as encoders/encoder.py reads it. check: compares the opened encoder
    with torch and returns the differences, which become its `parity`, or raises CladError.
    """
    files = {file: sha256_of(out / file) for file in FILES}
    sidecar = {
        "schema": SCHEMA,
        "name": name,
        "sha256": encoder_id(files),
        "vision": {"input": "images", **vision},
        "text": text,
        "files": files,
    }
    _write(out, sidecar)
    try:
        sidecar["parity"] = check(Encoder(out))
    except BaseException:
        (out / SIDECAR).unlink()  # without it the folder is no encoder: what was not checked must not be used
        raise
    _write(out, sidecar)
    return sidecar


def _write(out: Path, sidecar: dict) -> None:
    (out / SIDECAR).write_text(json.dumps(sidecar, indent=2) + "\n")
