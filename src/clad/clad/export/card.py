"""The model card that is written beside a bundle: what is known when it is exported, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FP32_GRAPHS = ("planner", "condition", "denoiser")
VARIANTS_HEADING = "## Further graphs"


def model_card(body: Mapping[str, Any], parameters: Mapping[str, int]) -> str:
    """README.md of a bundle, from its model.json and the parameters of each graph."""
    tasks = "\n".join(f"- {t['suite']} {t['task']}: {t['instruction']}".replace("-  0: ", "- ") for t in body["tasks"])
    sizes = "\n".join(
        f"| {name}.onnx | {count / 1e6:.2f} M | {body['parity'][name]:.1e} |" for name, count in parameters.items()
    )
    d, policy = body["diffusion"], body["config"]["policy"]
    foresees = {
        "clad": f"a planner that foresees the latent state {body['horizon']} control steps ahead",
        "lbp": "a latent backward planner, the baseline, that plans from the task's end back to the present",
    }[body["config"]["planner"].get("kind", "clad")]
    blind = (
        "\n**Blind**: vision is zeroed in training and at run time. A control, not a model to use.\n"
        if body["blind"]
        else ""
    )
    return f"""# {body["name"]}

CLaD for robot `{body["contract"]["name"]}`: {foresees}, and a
diffusion policy conditioned on that foresight (`{policy["foresight"]}`).
{blind}
| graph | parameters | largest relative error against torch |
|---|---|---|
{sizes}

Encoder `{body["encoder"]["name"]}` ({body["encoder"]["sha256"][:12]}), features {", ".join(body["features"])} of cameras {", ".join(body["cameras"])};
proprio `{body["proprio_variant"]}`. Chunks of {body["horizon"]} actions, {body["execute_steps"]} executed before the next plan; diffusion with {d["train_steps"]} steps
predicting the {d["prediction"]}, sampled with {d["sample_steps"]} {d["sampler"].upper()} steps. Opset {body["opset"]}, fp32.

## Trained on

{body["training"]["demonstrations"]} demonstrations (visuals: {", ".join(body["training"]["visuals"])}), from scenes of their own and none of the
benchmark's evaluation states:

{tasks}

It knows these tasks and these words, this robot and these two cameras; nothing else is claimed. `model.json` holds every
number: configuration, normalisers, checksums, and the losses of both stages on held-out demonstrations.
"""


def with_variants(card: str, name: str, parity: Mapping[str, float], sizes: Mapping[str, int]) -> str:
    """`card` under the heading `name`, with a table of the files that derive_bundle made; sizes: bytes of each file."""
    body = card.partition(VARIANTS_HEADING)[0].rstrip()
    lines = body.splitlines() or [""]
    rows = "\n".join(
        f"| {file} | {size / 1e6:.1f} MB | {parity[file.removesuffix('.onnx')]:.1e} |"
        for file, size in sizes.items()
        if file.removesuffix(".onnx") not in FP32_GRAPHS and file.endswith(".onnx")
    )
    return f"""# {name}
{chr(10).join(lines[1:])}

{VARIANTS_HEADING}

Made from the fp32 graphs above and measured against them. `sampler` is all DDIM steps in one graph.

| graph | size | largest relative error against fp32 |
|---|---|---|
{rows}
"""
