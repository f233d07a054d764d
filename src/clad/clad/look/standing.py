"""What the page says in words: how the graph stands, how its episodes ended, and what is worth a line in the log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clad.bag.metrics import EPISODE, EXECUTED_ACTION, OUTCOMES, RUNNING
from clad.eval.stats import wilson

SAFETY_STATUS, DIAGNOSTICS = "/safety_status", "/diagnostics"
SAFETY = ("pass", "clamp", "hold", "emergency stop")  # SafetyStatus.state
LEVELS = ("INFO", "WARN", "ERROR", "ERROR")  # DiagnosticStatus.level: ok, warn, error, stale
LATEST = 10  # outcomes on the page
_HOLD = 2  # ExecutedAction.source


@dataclass(slots=True)
class Standing:
    """Fed with every message, in the order heard; `feed` gives the lines that it is worth: (level, words)."""

    episode: Any = None  # the last EpisodeStatus
    safety: str = "not heard of"
    reasons: list[str] = field(default_factory=list)
    held: str = ""  # why the robot holds now
    step: int = 0
    outcomes: dict[tuple[int, int, int], tuple[Any, str]] = field(default_factory=dict)
    health: dict[str, tuple[int, str]] = field(default_factory=dict)  # node -> level, message

    def feed(self, topic: str, message: Any) -> list[tuple[str, str]]:
        if topic == EPISODE:
            return self._on_episode(message)
        if topic == EXECUTED_ACTION:
            return self._on_action(message)
        if topic == SAFETY_STATUS:
            return self._on_safety(message)
        if topic == DIAGNOSTICS:
            return [line for status in message.status for line in self._on_health(status)]
        return []

    @property
    def phase(self) -> str:
        """running, or how the episode ended."""
        if self.episode is None:
            return "idle"
        return "running" if self.episode.phase == RUNNING else OUTCOMES.get(self.episode.phase, "idle")

    def markdown(self, rates: dict[str, float]) -> str:
        """The page's words. rates: name -> Hz."""
        told = self.episode
        lines = [f"## {told.instruction}" if told is not None else "## no episode yet", ""]
        if told is not None:
            where = " ".join(str(part) for part in (told.suite, told.task) if part != "")
            lines += [
                f"**{self.phase}**, episode {told.episode}, step {self.step} of {told.max_steps}",
                "",
                f"{where}, init {told.init_index}, seed {told.seed}, {told.mode}"
                + (f", protocol {told.protocol}" if told.protocol else ""),
                "",
            ]
        lines += [f"**safety**: {self.safety}" + (f" ({', '.join(self.reasons)})" if self.reasons else ""), ""]
        if self.held:
            lines += [f"**holding**: {self.held}", ""]
        lines += ["**rates**: " + ", ".join(f"{name} {hertz:.1f} Hz" for name, hertz in rates.items()), ""]
        return "\n".join(lines + self._table() + self._alarms())

    # --- internals

    def _on_episode(self, message: Any) -> list[tuple[str, str]]:
        known = self.episode
        self.episode, self.step = message, message.steps
        if message.phase <= RUNNING:
            if message.phase == RUNNING and (known is None or _key(known) != _key(message) or known.phase > RUNNING):
                return [("INFO", f"episode {message.episode} begins: {message.instruction}")]
            return []
        outcome = OUTCOMES.get(message.phase, "ended")
        if _key(message) in self.outcomes:
            return []
        self.outcomes[_key(message)] = message, outcome
        reason = f": {message.reason}" if message.reason else ""
        level = "INFO" if outcome == "success" else "WARN"
        return [(level, f"episode {message.episode} ends after {message.steps} steps: {outcome}{reason}")]

    def _on_action(self, message: Any) -> list[tuple[str, str]]:
        reason = (message.reason or "no reason given") if message.source == _HOLD else ""
        self.step, before, self.held = message.step + 1, self.held, reason
        if reason and reason != before:
            return [("WARN", f"step {message.step}: holds: {reason}")]
        if before and not reason:
            return [("INFO", f"step {message.step}: moves again")]
        return []

    def _on_safety(self, message: Any) -> list[tuple[str, str]]:
        known = (self.safety, self.reasons)
        self.safety = SAFETY[message.state] if message.state < len(SAFETY) else f"state {message.state}"
        self.reasons = list(message.reasons)
        if known == (self.safety, self.reasons):
            return []
        words = f"safety: {self.safety}" + (f" ({', '.join(self.reasons)})" if self.reasons else "")
        return [("INFO" if message.state == 0 else "WARN" if message.state < len(SAFETY) - 1 else "ERROR", words)]

    def _on_health(self, status: Any) -> list[tuple[str, str]]:
        level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
        known = self.health.get(status.name, (0, ""))
        self.health[status.name] = (level, status.message)
        if level == known[0] and (level == 0 or status.message == known[1]):
            return []
        return [(LEVELS[min(level, len(LEVELS) - 1)], f"{status.name}: {status.message}")]

    def _table(self) -> list[str]:
        if not self.outcomes:
            return []
        ended = list(self.outcomes.values())
        n, successes = len(ended), sum(outcome == "success" for _, outcome in ended)
        low, high = wilson(successes, n)
        share = f"{100 * successes / n:.0f} %, Wilson 95 %: {100 * low:.0f}-{100 * high:.0f} %"
        rows = [
            f"| {m.episode} | {m.init_index} | {m.seed} | {outcome} | {m.steps} |" for m, outcome in ended[-LATEST:]
        ]
        head = ["| episode | init | seed | outcome | steps |", "|---|---|---|---|---|"]
        return [f"#### success {successes}/{n} ({share})", "", *head, *reversed(rows), ""]

    def _alarms(self) -> list[str]:
        alarms = [f"- {name}: {message}" for name, (level, message) in sorted(self.health.items()) if level]
        return ["**not well**", "", *alarms, ""] if alarms else []


def _key(status: Any) -> tuple[int, int, int]:
    """An episode by its number and its beginning: a bridge that is started again counts from one."""
    return status.episode, status.header.stamp.sec, status.header.stamp.nanosec
