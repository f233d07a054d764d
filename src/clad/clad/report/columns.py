"""Which figures a report shows, under which title and in which unit. All the others are in its JSON and CSV."""

from __future__ import annotations

from dataclasses import dataclass

from clad.bag.figures import EpisodeFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """key: of EpisodeFigures.flat. digits: significant ones. brief: in the terminal's tables too."""

    key: str
    title: str
    unit: str = ""
    digits: int = 3
    brief: bool = False

    @property
    def head(self) -> str:
        """Title and unit, e.g. 'age p50 ms'."""
        return f"{self.title} {self.unit}".strip()

    def value(self, figures: EpisodeFigures) -> float | None:
        """This column's figure; None where the episode has none."""
        return figures.flat().get(self.key)

    def text(self, value: float | None) -> str:
        """For people; '-' for None."""
        if value is None:
            return "-"
        if isinstance(value, int) or abs(value) >= 10 ** (self.digits - 1):
            return f"{value:.0f}"
        return f"{value:.{self.digits}g}"


COLUMNS = (
    Column(key="steps", title="steps", brief=True),
    Column(key="duration_s", title="duration", unit="s"),
    Column(key="motion.seam_velocity_m_ratio", title="seam ratio", unit="m", brief=True),
    Column(key="motion.seam_velocity_m_p99", title="seam p99", unit="m/s"),
    Column(key="motion.within_velocity_m_p99", title="within chunks p99", unit="m/s"),
    Column(key="motion.seam_velocity_rad_ratio", title="seam ratio", unit="rad"),
    Column(key="motion.seam_velocity_rad_p99", title="seam p99", unit="rad/s"),
    Column(key="motion.within_velocity_rad_p99", title="within chunks p99", unit="rad/s"),
    Column(key="motion.jerk_m_p99", title="jerk p99", unit="m/s³", brief=True),
    Column(key="motion.jerk_rad_p99", title="jerk p99", unit="rad/s³"),
    Column(key="observation_age.p50_ms", title="age p50", unit="ms", brief=True),
    Column(key="observation_age.p99_ms", title="age p99", unit="ms"),
    Column(key="latency.compute.p50_ms", title="compute p50", unit="ms", brief=True),
    Column(key="latency.compute.p99_ms", title="compute p99", unit="ms", brief=True),
    Column(key="latency.total.p50_ms", title="camera to action p50", unit="ms"),
    Column(key="latency.total.p99_ms", title="camera to action p99", unit="ms"),
    Column(key="period.control.error.p99_ms", title="period error p99", unit="ms"),
    Column(key="period.control.missed", title="missed deadlines"),
    Column(key="foresight.cosine_p50", title="foresight cosine", brief=True),
    Column(key="foresight.cosine_persistence_p50", title="persistence cosine", brief=True),
    Column(key="foresight.joint_position_p50", title="foreseen joints off by", unit="rad"),
    Column(key="foresight.joint_position_persistence_p50", title="persisting joints off by", unit="rad"),
    Column(key="foresight.ee_position_p50", title="foreseen hand off by", unit="m"),
    Column(key="foresight.ee_position_persistence_p50", title="persisting hand off by", unit="m"),
    Column(key="held_s", title="held", unit="s", brief=True),
    Column(key="clamped_steps", title="clamped steps"),
    Column(key="lost.foresights", title="lost foresights"),
    Column(key="lost.chunks", title="lost chunks"),
)
BRIEF = tuple(column for column in COLUMNS if column.brief)
