"""What a campaign has come to, a line a condition."""

from __future__ import annotations

from clad.campaign.manifest import Manifest
from clad.campaign.plan import Plan
from clad.eval.stats import wilson


def summary(plan: Plan, manifest: Manifest) -> str:
    """The table: success of the planned episodes that are done, repetitions included, with its Wilson interval."""
    titles = ("condition", "n", "success", "Wilson 95 %", "to come", "not counted")
    rows = []
    for name in plan.conditions:
        items = plan.of(name)
        wanted = {item.key for item in items}
        entries = [entry for entry in manifest.counted(name) if entry.key in wanted]
        n, successes = len(entries), sum(entry.outcome == "success" for entry in entries)
        low, high = wilson(successes, n)
        discarded = sum(not entry.counts for entry in manifest.entries if entry.condition == name)
        interval = f"{100 * low:.1f}-{100 * high:.1f} %" if n else "-"
        rows.append((name, str(n), f"{successes}/{n}", interval, str(len(items) - n), str(discarded)))
    widths = [max(len(row[i]) for row in (titles, *rows)) for i in range(len(titles))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        for row in (titles, *rows)
    ]
    return "\n".join(lines)
