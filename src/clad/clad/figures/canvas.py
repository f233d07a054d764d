"""What all pictures share: a figure that needs no display, colours that colour-blind eyes tell apart, one way to save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clad.errors import CladError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
INSTALL = (
    "Run it as ./clad, which installs it, or: pip install -r requirements/figures.txt -c requirements/constraints.txt"
)
# Okabe and Ito's palette
BLUE, ORANGE, VERMILLION, GREEN, GREY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#8A8A8A"
# Paul Tol's muted palette, its pale grey darkened: ten tasks
TASKS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933",
    "#DDCC77", "#CC6677", "#882255", "#AA4499", "#777777",
)  # fmt: skip


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches, that lays itself out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bare(axes: Axes) -> None:
    """Two spines instead of four, small ticks: data first."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)


def png_file(out: str | Path) -> Path:
    """`out` as the name of a picture. Raises CladError for any other suffix, so that nobody waits for nothing."""
    path = Path(out)
    if path.suffix.lower() != ".png":
        raise CladError(f"--out '{path}' is no PNG", "Give a file name that ends in .png")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def save(figure: Figure, out: Path) -> None:
    """Write the PNG."""
    figure.savefig(out, dpi=DPI)
