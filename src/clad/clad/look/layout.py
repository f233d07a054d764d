"""Where things are on the page, and how they are drawn. Entities are those of clad.look.scene."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clad.contract import RobotContract

TIMELINE = "ros_time"
SHOWN = 15.0  # s of ROS time that plots and states show, up to now

# Okabe and Ito's colours, told apart by colour-blind people too
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (213, 94, 0),
    (204, 121, 167),
    (150, 150, 150),
)
FIELDS = {"joint_position": "joints, rad", "ee_position": "hand, m"}  # shown of the proprio
LOG_COLUMNS = ("LogLevel", "Body")
STATES = {
    "episode": {"running": BLUE, "success": GREEN, "timeout": ORANGE, "aborted": RED},
    "safety": {"pass": GREEN, "clamp": ORANGE, "hold": RED, "emergency stop": PURPLE},
    "control": {"moving": GREEN, "holding": RED, "by service": BLUE},
}


def layout(contract: RobotContract) -> Any:
    """A Rerun blueprint: cameras and words at the left, foresight and plans in the middle, rates and states at the right."""
    import rerun.blueprint as rrb

    def plot(name: str, origin: str, *contents: str, low: float | None = None, high: float | None = None) -> Any:
        return rrb.TimeSeriesView(
            name=name,
            origin=origin,
            contents=list(contents) or ["$origin/**"],
            plot_legend=rrb.PlotLegend(corner=rrb.Corner2D.LeftTop),
            time_ranges=[_recent(rrb)],
            **({} if low is None else {"axis_y": rrb.ScalarAxis(range=(low, high))}),
        )

    cameras = [rrb.Spatial2DView(name=camera, origin=f"camera/{camera}") for camera in contract.cameras]
    actions = [
        plot(f"actions, {'gripper' if unit == '1' else unit}", "action", *(f"action/{name}/**" for name in names))
        for unit, names in _by_unit(contract).items()
    ]
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Vertical(
                rrb.Horizontal(*cameras),
                rrb.TextDocumentView(name="now", origin="status"),
                row_shares=[2, 3],
            ),
            rrb.Vertical(
                plot("foresight of the scene: cosine to what came", "foresight/scene"),
                plot(
                    "foresight of the arm: distance from what came",
                    "foresight/proprio",
                    *(f"foresight/proprio/{name}/**" for name in FIELDS),
                ),
                rrb.Tabs(*actions, name="planned and executed"),
            ),
            rrb.Vertical(
                plot("rates, Hz of wall time", "rate"),
                plot("latency, ms", "latency"),
                rrb.StateTimelineView(name="states", origin="state", time_ranges=[_recent(rrb)]),
                rrb.TextLogView(name="log", origin="log", columns=rrb.TextLogColumns(text_log_columns=LOG_COLUMNS)),
            ),
            column_shares=[3, 4, 3],
        ),
        rrb.TimePanel(timeline=TIMELINE, state="collapsed", play_state="following"),
        rrb.BlueprintPanel(state="hidden"),
        rrb.SelectionPanel(state="hidden"),
        auto_views=False,
        auto_layout=False,
    )


def styles(contract: RobotContract) -> Iterator[tuple[str, Any]]:
    """(entity, how it is drawn)."""
    import rerun as rr

    yield "foresight/scene/foresight", rr.SeriesLines(colors=BLUE, names="foresight", widths=2)
    yield "foresight/scene/nothing_changes", rr.SeriesLines(colors=GREY, names="if nothing changed", widths=1.5)
    for (name, words), colour in zip(FIELDS.items(), _colours()):
        entity = f"foresight/proprio/{name}"
        yield f"{entity}/foresight", rr.SeriesLines(colors=colour, names=words, widths=2)
        yield (
            f"{entity}/nothing_changes",
            rr.SeriesLines(colors=_pale(colour), names=f"{words}, if nothing changed", widths=1),
        )
    for name, colour in zip(contract.action.names, _colours()):
        yield f"action/{name}/executed", rr.SeriesLines(colors=colour, names=f"{name} executed", widths=2)
        yield (
            f"action/{name}/planned",
            rr.SeriesPoints(colors=colour, names=f"{name} planned", markers="circle", marker_sizes=2),
        )
    for name, colour in zip(("encoder", "planner", "policy", "control"), _colours()):
        yield f"latency/{name}", rr.SeriesLines(colors=colour, names=name, widths=2)
        yield f"rate/{name}", rr.SeriesLines(colors=colour, names=name, widths=2)
    for name, colours in STATES.items():
        yield f"state/{name}", rr.StateConfiguration(values=list(colours), colors=list(colours.values()))


def _by_unit(contract: RobotContract) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, unit in zip(contract.action.names, contract.action.units):
        found.setdefault(unit, []).append(name)
    return found


def _colours() -> Iterator[tuple[int, int, int]]:
    while True:
        yield from (BLUE, RED, GREEN, PURPLE, ORANGE, GREY)


def _pale(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    return tuple(255 - (255 - part) // 2 for part in colour)


def _recent(rrb: Any) -> Any:
    return rrb.VisibleTimeRange(
        TIMELINE,
        start=rrb.TimeRangeBoundary.cursor_relative(seconds=-SHOWN),
        end=rrb.TimeRangeBoundary.cursor_relative(seconds=0.0),
    )
