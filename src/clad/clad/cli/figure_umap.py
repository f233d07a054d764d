"""`clad figure umap`: z_dyn of demonstrations over tasks, one planner beside another (the paper's figure 4)."""

from __future__ import annotations

import argparse
from pathlib import Path

from clad.cli import options

HELP = "z_dyn over tasks by UMAP, planners side by side, with cluster scores (needs requirements/figures.txt)"
EXAMPLES = """\
  clad figure umap --planner runs/planner --features data/features
  clad figure umap --planner runs/planner --planner runs/no-recon --features data/features --out umap.png

Runs tell which demonstrations were held out, and only those are shown; a model bundle does not tell.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--planner",
        action="append",
        required=True,
        metavar="RUN|MODEL",
        help="directory of a planner's training run, or a model bundle; may repeat",
    )
    parser.add_argument(
        "--features", type=Path, required=True, metavar="DIR", help="what clad encode made of the demonstrations"
    )
    parser.add_argument(
        "--most", type=options.count, default=4000, metavar="N", help="windows shown at most (default: %(default)s)"
    )
    parser.add_argument("--out", default="umap.png", metavar="FILE", help="PNG (default: %(default)s)")
    options.add(parser, "seed", seed={"help": "of UMAP"})


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from clad.data.features import cached_contract
    from clad.figures import canvas, clusters
    from clad.figures.planners import open_planner

    out = canvas.png_file(args.out)
    planners = [open_planner(name) for name in args.planner]
    contract = cached_contract(args.features)
    episodes, held_out = clusters.shared_episodes(args.features, planners)
    found = [
        clusters.cluster(clusters.embed_dynamics(planner, episodes, contract, args.most), args.seed)
        for planner in tqdm(planners, unit="planner", leave=False, disable=None)
    ]
    clusters.draw(found, held_out, args.seed, out)
    for one in found:
        print(
            f"{one.latents.planner}: silhouette by task {one.silhouette.mean():.3f} in z_dyn, "
            f"{one.embedded_silhouette.mean():.3f} in the picture ({len(one.silhouette)} windows)"
        )
    for other in found[1:]:
        higher, n, p = clusters.compare(found[0], other)
        print(
            f"{found[0].latents.planner} is higher than {other.latents.planner} in {higher} of {n} episodes, p = {p:.2g}"
        )
    print(out)
    return 0
