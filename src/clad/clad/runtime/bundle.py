"""Model bundles: a directory that holds everything a trained model needs, verified before anything of it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

from clad.contract import PROPRIO_VARIANTS, RobotContract, proprio_dim
from clad.errors import CladError
from clad.runtime.catalogue import PRECISIONS, SIDECAR, find_bundle, graph_file, models_directories
from clad.runtime.normalisers import ActionScaler, Standardiser
from clad.runtime.samplers import SAMPLERS
from clad.typed import typed

if TYPE_CHECKING:
    from clad.encoders.encoder import Encoder

SCHEMA = 1
MOST_STEPS = 10_000
REQUIRED_FILES = ("condition.onnx", "denoiser.onnx")
_REFETCH = "Export the model again or fetch a fresh copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diffusion:
    """How the denoiser was trained and is sampled. schedule: 'squaredcos_cap_v2'; sampler: 'ddim' or 'ddpm'."""

    train_steps: int
    schedule: str
    prediction: str
    sampler: str
    sample_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedTask:
    """One task that the model was trained on."""

    suite: str
    task: int
    instruction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBundle:
    """A verified bundle. `load_bundle` makes it; nothing here has been loaded into a session yet.

    path: the directory. sha256: of model.json, which lists every other file's, so it names the whole model.
    horizon: tau, control steps. execute_steps: how many of a chunk's steps to execute before planning again.
    cameras, features: the order in which v_t is concatenated (cameras outside, features inside).
    blind: the visual vector is zeros after standardisation, in training and at run time.
    """

    path: Path
    name: str
    sha256: str
    created: str
    config: Mapping[str, Any]
    contract_name: str
    contract_hash: str
    encoder_name: str
    encoder_sha256: str
    proprio_variant: str
    cameras: tuple[str, ...]
    features: tuple[str, ...]
    horizon: int
    execute_steps: int
    proprio: Standardiser
    visual: Standardiser
    action: ActionScaler
    diffusion: Diffusion
    tasks: tuple[TrainedTask, ...]
    files: Mapping[str, str]
    opset: int
    parity: Mapping[str, float]
    blind: bool

    @property
    def id(self) -> str:
        """`model_id` in messages: the name and enough of the checksum to tell two exports apart."""
        return f"{self.name}@{self.sha256[:12]}"

    @property
    def has_planner(self) -> bool:
        """False for the policy-only variant, which conditions on the observation alone."""
        return "planner.onnx" in self.files

    def blinded(self) -> ModelBundle:
        """The same model with its vision zeroed, under the name NAME-blind: a control for evaluations."""
        return replace(self, name=f"{self.name}-blind", blind=True)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions in which every network of the model is there; fp32 always is."""
        graphs = [*(["planner"] if self.has_planner else []), "condition", "denoiser"]
        return tuple(p for p in PRECISIONS if all(graph_file(g, p) in self.files for g in graphs))

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Within, networks are run for the first time: whatever they raise is a CladError that names this model."""
        try:
            yield
        except CladError:
            raise
        except Exception as error:  # ONNX Runtime's and numpy's share no base class
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CladError(f"model '{self.name}' does not fit its own sidecar: {reason:.200}", _REFETCH) from error

    def require_contract(self, contract: RobotContract) -> None:
        """Raises CladError unless the model was trained for exactly this robot."""
        if contract.hash != self.contract_hash:
            raise CladError(
                f"model '{self.name}' was trained for robot '{self.contract_name}' ({self.contract_hash[:12]}), not for "
                f"'{contract.name}' ({contract.hash[:12]})",
                "Train for this robot's contract or choose another model",
            )


def load_bundle(path_or_name: str | Path) -> ModelBundle:
    """The bundle at a path, or of that name in `models_directories()`, with every checksum verified; '' is the default model.

    Raises UsageError for an unknown name (naming the valid ones), CladError for a file that is missing, truncated,
    altered or not part of this model.
    """
    path = find_bundle(path_or_name)
    raw = (path / SIDECAR).read_bytes()
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CladError(f"{path / SIDECAR} is truncated or not JSON ({error})", _REFETCH) from error
    try:
        bundle = _parse(path, hashlib.sha256(raw).hexdigest(), body)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
        raise CladError(f"{path / SIDECAR} is malformed: {reason}", _REFETCH) from error
    _check_consistency(bundle)
    verify_files(path, bundle.files, of=f"model '{bundle.name}'")
    return bundle


def load_encoder(bundle: ModelBundle, *, provider: str = "cpu", threads: int = 1) -> Encoder:
    """The encoder that the model was trained with, from `encoder-NAME` beside the bundle or among the models.

    Raises CladError when it is missing or is another encoder than the one whose features the model knows.
    """
    from clad.encoders.encoder import Encoder

    directory = bundle.encoder_name if bundle.encoder_name.startswith("encoder-") else f"encoder-{bundle.encoder_name}"
    places = [bundle.path.parent, *models_directories()]
    path = next((p / directory for p in places if (p / directory / "encoder.json").is_file()), None)
    if path is None:
        raise CladError(
            f"model '{bundle.name}' needs the encoder '{directory}', which is in none of "
            f"{', '.join(str(p) for p in places)}",
            "Run: clad export encoder",
        )
    encoder = Encoder(path, provider, threads)
    if encoder.id != bundle.encoder_sha256:
        raise CladError(
            f"model '{bundle.name}' was trained with another encoder ({bundle.encoder_sha256[:12]}) than "
            f"{path} ({encoder.id[:12]})",
            "Restore that encoder or train again on this one's features",
        )
    return encoder


def verify_files(directory: Path, files: Mapping[str, str], *, of: str) -> None:
    """Check that every listed file is there with its sha256 and that no unlisted network lies beside them.

    Raises CladError naming the file and the reason.
    """
    for name, expected in files.items():
        file = directory / name
        if not file.is_file():
            raise CladError(f"{of} lacks its file {file}", _REFETCH)
        found = sha256_file(file)
        if found != expected:
            raise CladError(
                f"{file} is truncated, altered or from another model: sha256 {found[:12]}, but {of} was made "
                f"with {expected[:12]}",
                _REFETCH,
            )
    for file in sorted(directory.glob("*.onnx*")):
        if file.name not in files:
            raise CladError(f"{file} is no part of {of}", "Remove it or export the model again")


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in pieces: models may be larger than memory allows twice."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _parse(path: Path, sha256: str, body: dict) -> ModelBundle:
    if body["schema"] != SCHEMA:
        raise ValueError(f"schema {body['schema']} instead of {SCHEMA}")
    contract, encoder, normalisers = body["contract"], body["encoder"], body["normalisers"]
    return ModelBundle(
        path=path,
        name=typed(str, body["name"], "name"),
        sha256=sha256,
        created=typed(str, body["created"], "created"),
        config=_mapping(body["config"], "config"),
        contract_name=typed(str, contract["name"], "contract.name"),
        contract_hash=typed(str, contract["hash"], "contract.hash"),
        encoder_name=typed(str, encoder["name"], "encoder.name"),
        encoder_sha256=typed(str, encoder["sha256"], "encoder.sha256"),
        proprio_variant=typed(str, body["proprio_variant"], "proprio_variant"),
        cameras=typed(tuple[str, ...], body["cameras"], "cameras"),
        features=typed(tuple[str, ...], body["features"], "features"),
        horizon=typed(int, body["horizon"], "horizon"),
        execute_steps=typed(int, body["execute_steps"], "execute_steps"),
        proprio=_standardiser(normalisers["proprio"], "normalisers.proprio"),
        visual=_standardiser(normalisers["visual"], "normalisers.visual"),
        action=ActionScaler(
            low=_numbers(normalisers["action"]["low"], "normalisers.action.low", np.float64),
            high=_numbers(normalisers["action"]["high"], "normalisers.action.high", np.float64),
        ),
        diffusion=_record(Diffusion, body["diffusion"], "diffusion"),
        tasks=tuple(_record(TrainedTask, task, f"tasks[{i}]") for i, task in enumerate(body["tasks"])),
        files=typed(dict[str, str], body["files"], "files"),
        opset=typed(int, body["opset"], "opset"),
        parity=typed(dict[str, float], body["parity"], "parity"),
        blind=typed(bool, body["blind"], "blind"),
    )


def _record(cls: type, body: dict, where: str):
    kinds = get_type_hints(cls)
    return cls(**{key: typed(kinds.get(key), value, f"{where}.{key}") for key, value in body.items()})


def _mapping(body: object, where: str) -> dict:
    if not isinstance(body, dict):
        raise TypeError(f"{where} is no mapping")
    return body


def _numbers(body: object, where: str, dtype: type) -> np.ndarray:
    return np.array(typed(tuple[float, ...], body, where), dtype=dtype)


def _standardiser(body: dict, where: str) -> Standardiser:
    return Standardiser(
        mean=_numbers(body["mean"], f"{where}.mean", np.float32),
        std=_numbers(body["std"], f"{where}.std", np.float32),
        clip=typed(float, body["clip"], f"{where}.clip"),
    )


def _check_consistency(b: ModelBundle) -> None:
    problems = []
    if b.proprio_variant not in PROPRIO_VARIANTS:
        problems.append(f"proprio_variant '{b.proprio_variant}' is unknown")
    elif b.proprio.mean.shape != (proprio_dim(b.proprio_variant),):
        problems.append(
            f"the proprio normaliser has {b.proprio.mean.size} entries, {b.proprio_variant} needs "
            f"{proprio_dim(b.proprio_variant)}"
        )
    for name, n in (("proprio", b.proprio), ("visual", b.visual)):
        if n.mean.shape != n.std.shape or not (n.std > 0).all():
            problems.append(f"the {name} normaliser's std must be positive and as long as its mean")
    if b.action.low.shape != b.action.high.shape or not (b.action.low < b.action.high).all():
        problems.append("the action normaliser needs low < high")
    if not 1 <= b.execute_steps <= b.horizon or b.horizon % b.execute_steps:
        problems.append(f"execute_steps {b.execute_steps} does not divide the horizon {b.horizon}")
    if b.diffusion.schedule != "squaredcos_cap_v2" or b.diffusion.sampler not in SAMPLERS:
        problems.append(f"schedule '{b.diffusion.schedule}' with sampler '{b.diffusion.sampler}' is not supported")
    if not b.tasks:
        problems.append("tasks is empty")
    if not 1 <= b.horizon <= MOST_STEPS:
        problems.append(f"a horizon of {b.horizon} control steps is impossible")
    if Path(b.encoder_name).name != b.encoder_name:
        problems.append(f"encoder.name '{b.encoder_name}' is no plain name")
    problems += [f"files lists '{name}', which is no plain file name" for name in b.files if Path(name).name != name]
    problems += [f"files lists no {name}" for name in REQUIRED_FILES if name not in b.files]
    if problems:
        raise CladError(f"{b.path / SIDECAR} is inconsistent: {'; '.join(problems)}", _REFETCH)
