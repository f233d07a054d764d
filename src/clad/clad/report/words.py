"""A comparison in words, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from clad.report.columns import COLUMNS
from clad.report.compare import Comparison, SuccessTest
from clad.report.tables import aligned


def comparison_text(comparison: Comparison, labels: Sequence[str]) -> str:
    """What differs between the two sets, with intervals and p values."""
    alone = [len(keys) for keys in comparison.unpaired_keys]
    lines = [
        f"{labels[0]} against {labels[1]}: {comparison.pairs} episodes are in both, "
        f"{alone[0]} only in the first and {alone[1]} only in the second"
    ]
    if comparison.paired is not None:
        lines.append(f"in both:     {_success(comparison.paired)}, McNemar exact")
    if comparison.unpaired is not None:
        lines.append(f"only in one: {_success(comparison.unpaired)}, Fisher exact")
    if comparison.figures:
        lines += [
            "",
            _figures(comparison, labels),
            "p: Wilcoxon signed-rank; Holm: corrected for the number of figures",
        ]
    return "\n".join(lines)


def _success(test: SuccessTest) -> str:
    low, high = (100 * end for end in test.interval)
    return (
        f"success {test.successes[0]}/{test.n[0]} and {test.successes[1]}/{test.n[1]}, difference "
        f"{100 * test.difference:+.1f} points (Newcombe 95 %: {low:+.1f} to {high:+.1f}), p {test.p:.3g}"
    )


def _figures(comparison: Comparison, labels: Sequence[str]) -> str:
    columns = {column.key: column for column in COLUMNS}
    rows = [["pairs", "n", *labels, "shift (Hodges-Lehmann)", "95 %", "p", "Holm"]]
    for test in comparison.figures:
        text = columns[test.key].text
        interval = f"{text(test.interval[0])} to {text(test.interval[1])}" if test.interval else "n < 6"
        medians = [text(value) for value in test.medians]
        rows.append(
            [
                columns[test.key].head,
                str(test.n),
                *medians,
                text(test.shift),
                interval,
                f"{test.p:.3g}",
                f"{test.p_holm:.3g}",
            ]
        )
    return aligned(rows)
