"""The delay study as pictures: a curve a strategy over the injected delay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# file -> (column, its lower band, its upper band, label, whether it has a line at 1)
PLOTS = {
    "success.png": ("success_rate", "wilson_low", "wilson_high", "success rate (band: Wilson 95 %)", False),
    "seam.png": (
        "seam_ratio_m",
        "seam_ratio_m_q25",
        "seam_ratio_m_q75",
        "seam p99 over within-chunk p99, velocity (median, quartiles)",
        True,
    ),
    "jerk.png": (
        "jerk_m_p99",
        "jerk_m_p99_q25",
        "jerk_m_p99_q75",
        "commanded jerk, p99, m/s³ (median, quartiles)",
        False,
    ),
    "held.png": ("held_share", None, None, "share of time held (mean)", False),
}


def draw(lines: Sequence[dict], out: Path, title: str) -> list[Path]:
    """Write PLOTS into the folder `out`; lines as of `clad.study.record.table`. Returns the files."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    files = []
    for name, (column, low, high, label, unity) in PLOTS.items():
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for execution in dict.fromkeys(line["execution"] for line in lines):
            # a strategy that never joined chunks there has no value: a gap, not a zero
            curve = sorted(
                (line for line in lines if line["execution"] == execution and line[column] is not None),
                key=lambda line: line["delay_ms"],
            )
            delays = [line["delay_ms"] for line in curve]
            (drawn,) = axes.plot(delays, [line[column] for line in curve], marker="o", label=execution)
            if low is not None:
                axes.fill_between(
                    delays, [x[low] for x in curve], [x[high] for x in curve], alpha=0.15, color=drawn.get_color()
                )
        if unity:
            axes.axhline(1.0, color="0.5", linestyle="--", linewidth=1)
        axes.set(xlabel="injected delay, ms", ylabel=label, title=title)
        axes.title.set_fontsize(9)
        axes.legend(fontsize=8)
        figure.savefig(out / name, dpi=150)
        files.append(out / name)
    return files
