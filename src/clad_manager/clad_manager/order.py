"""Which transition is due next. Knows no ROS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# what the manager knows of a node: a lifecycle state, or one of these
UNKNOWN, GONE, REFUSED = "unknown", "gone", "refused"
UNCONFIGURED, INACTIVE, ACTIVE = "unconfigured", "inactive", "active"
AFTER = {"configure": INACTIVE, "activate": ACTIVE, "deactivate": INACTIVE}  # transition -> state when it succeeds


def next_transitions(states: Mapping[str, str], order: Sequence[str]) -> list[tuple[str, str]]:
    """(node, transition) to ask for now; asking again while they are under way is the caller's to avoid.

    All nodes are configured before any is activated, side by side, because loading models takes its time; then they are
    activated in order, each when those before it are active.
    """
    unconfigured = [(name, "configure") for name in order if states[name] == UNCONFIGURED]
    if unconfigured or any(states[name] == UNKNOWN for name in order):
        return unconfigured
    for name in order:
        if states[name] == INACTIVE:
            return [(name, "activate")]
        if states[name] != ACTIVE:
            return []
    return []
