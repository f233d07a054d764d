"""A frozen encoder directory at run time: images to features, instructions to embeddings. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from clad.errors import CladError
from clad.runtime.session import open_session
from clad.typed import typed

SCHEMA = 1
VISION, TEXT, TOKENIZER, SIDECAR = "vision.onnx", "text.onnx", "tokenizer.json", "encoder.json"
MOST_TOKENS = 1 << 20
FILES = (VISION, TEXT, TOKENIZER)


def encoder_id(files: Mapping[str, str]) -> str:
    """The encoder's identity: SHA-256 over its files' checksums, joined in name order."""
    return hashlib.sha256("".join(files[name] for name in sorted(files)).encode()).hexdigest()


def read_sidecar(path: Path) -> dict:
    """encoder.json, after checking that every file beside it is the one it was written for.

    Raises CladError naming the file that is missing, altered or of another schema.
    """
    remedy = "Write the encoder again with: clad export encoder --out DIR"
    sidecar = path / SIDECAR
    if not sidecar.is_file():
        raise CladError(f"{path} is not an encoder: it has no {SIDECAR}", remedy)
    try:
        body = json.loads(sidecar.read_bytes())
        schema, files = body["schema"], typed(dict[str, str], body["files"], "files")
        sha256 = typed(str, body["sha256"], "sha256")
        typed(str, body["name"], "name")
        typed(dict[str, int], body["vision"]["outputs"], "vision.outputs")
        typed(int, body["text"]["dim"], "text.dim")
        if not 0 < typed(int, body["text"]["max_tokens"], "text.max_tokens") <= MOST_TOKENS:
            raise ValueError(f"text.max_tokens is not 1 to {MOST_TOKENS}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CladError(f"{sidecar} is malformed: {error!r}", remedy) from error
    if schema != SCHEMA:
        raise CladError(f"{sidecar} has schema {schema}, this version reads {SCHEMA}", remedy)
    for name in FILES:
        file = path / name
        if not file.is_file():
            raise CladError(f"encoder file {file} is missing", remedy)
        if hashlib.sha256(file.read_bytes()).hexdigest() != files.get(name):
            raise CladError(f"encoder file {file} is truncated, altered or foreign: its checksum differs", remedy)
    if sha256 != encoder_id(files):
        raise CladError(f"{sidecar}: sha256 does not belong to its files", remedy)
    return body


class Encoder:
    """One encoder directory, opened.

    path: the directory. id: SHA-256 that a feature cache or a model is tied to. name: as written by the exporter.
    feature_dims: feature name -> length. text_dim: length of an instruction's embedding.
    Raises CladError when the directory is not an intact encoder or the provider is not to be had.
    """

    def __init__(self, path: Path | str, provider: str = "cpu", threads: int = 1) -> None:
        from tokenizers import Tokenizer

        self.path = path = Path(path)
        sidecar = read_sidecar(path)
        self.name: str = sidecar["name"]
        self.id: str = sidecar["sha256"]
        self.feature_dims: dict[str, int] = dict(sidecar["vision"]["outputs"])
        self.text_dim: int = sidecar["text"]["dim"]
        self._outputs = list(self.feature_dims)
        self._vision = open_session(path / VISION, provider=provider, threads=threads)
        # An instruction is encoded once an episode: the text model always runs on the CPU, whatever the images do.
        self._text = open_session(path / TEXT, provider="cpu", threads=threads)
        self._check_outputs()
        self._tokenizer = Tokenizer.from_file(str(path / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(sidecar["text"]["max_tokens"])

    def _check_outputs(self) -> None:
        """Raises CladError unless the networks have the features that the sidecar tells of."""
        vision = {output.name: output.shape[-1] for output in self._vision.get_outputs()}
        text = {output.name: output.shape[-1] for output in self._text.get_outputs()}
        if vision != self.feature_dims or text != {"sentence": self.text_dim}:
            raise CladError(
                f"{self.path / SIDECAR} tells of features {self.feature_dims} and text {self.text_dim}, its networks "
                f"give {vision} and {text}",
                "Write the encoder again with: clad export encoder --out DIR",
            )

    def images(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Features of uint8 rgb (B, H, W, 3), row 0 at the top: name -> (B, D) float32."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise CladError(
                f"the encoder takes uint8 images (B, H, W, 3), not {images.dtype} {images.shape}",
                "Pass rgb8 images, one stack for all cameras",
            )
        values = self._vision.run(self._outputs, {"images": images})
        return dict(zip(self._outputs, values, strict=True))

    def text(self, instruction: str) -> np.ndarray:
        """The instruction's embedding l, (D_l,) float32 of unit length. Raises CladError for a blank instruction."""
        if not instruction.strip():
            raise CladError("the instruction is empty", "Tell the robot what to do, e.g. 'pick up the bowl'")
        tokens = np.array([self._tokenizer.encode(instruction.strip()).ids], dtype=np.int64)
        return self._text.run(["sentence"], {"tokens": tokens})[0][0]
