"""A row per fault, and the table of all of them."""

from __future__ import annotations

from dataclasses import dataclass

MOST_PERIODS = 2.0  # control periods from a fault to the safe state


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one fault.

    detected_after_periods: control periods from the fault to the first step of the safe state; 0 when no unsafe step was
    possible at all (a refusal at start, a message that is never executed); None when the safe state was not reached.
    state: the safe state, in words. evidence: what was seen or said. recovery: what brings the robot back; recovered:
    whether it did.
    """

    name: str
    injected: str
    detected_after_periods: float | None
    state: str
    recovered: bool
    recovery: str
    evidence: str

    @property
    def passed(self) -> bool:
        """Whether the robot was safe in time, and came back."""
        return (
            self.detected_after_periods is not None and self.detected_after_periods <= MOST_PERIODS and self.recovered
        )


def table(rows: list[Row]) -> str:
    """Markdown, in the order given."""
    lines = [
        "| fault | injected | periods to the safe state | state | recovery | recovered | evidence |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        periods = "never" if r.detected_after_periods is None else f"{r.detected_after_periods:.1f}"
        evidence = r.evidence.replace("|", "\\|")
        lines.append(
            f"| {r.name} | {r.injected} | {periods} | {r.state} | {r.recovery} | {'yes' if r.recovered else '**no**'} | {evidence} |"
        )
    return "\n".join(lines)
