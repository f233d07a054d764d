"""What happens to the record and to the bridge itself: a full disk, a recorder or a bridge that dies."""

from __future__ import annotations

import time
from pathlib import Path

from clad.errors import CladError
from clad_faults.faults import free_disk, full_disk
from clad_faults.report import Row
from clad_faults.rig import Rig
from clad_interfaces.srv import StartRecording, StopRecording
from clad_recorder.bag import read_messages, recover
from clad_ros import topics
from clad_ros.stamps import to_ns

RECORDED = 1.0  # s of recording before the fault


def disk_full(rig: Rig) -> Row:
    """Not one byte more fits on the disk while an episode is recorded."""
    rig.until_moving()
    bag = _record(rig, "disk_full")
    pid = rig.pid("recorder")
    began, held = time.monotonic(), rig.now()
    full_disk(pid, (bag / f"{bag.name}_0.mcap").stat().st_size)
    try:
        rig.wait(lambda: rig.said_at("recorder", "recording failed", began) is not None, "the recorder's alarm", 5.0)
    except CladError:
        pass
    at = rig.said_at("recorder", "recording failed", began)
    goes_on = rig.recovers() and rig.first_hold(held) is None
    free_disk(pid)
    rig.call(StopRecording, topics.STOP_RECORDING)
    messages = recover(bag)
    _record(rig, "disk_free")
    again = rig.call(StopRecording, topics.STOP_RECORDING).success
    return Row(
        name="disk_full",
        injected="the disk takes not one byte more while recording",
        detected_after_periods=None if at is None else (at - began) * 1e9 / rig.period,
        state="the robot goes on, the recording ends with an alarm" if goes_on else "the robot was disturbed",
        recovered=again and messages > 0 and goes_on,
        recovery="make room; the next recording is whole",
        evidence=f"recorder: recording failed; {messages} messages before it can be read",
    )


def recorder_killed(rig: Rig) -> Row:
    """The recorder dies: the robot does not depend on it, and the bag must be readable."""
    rig.until_moving()
    bag = _record(rig, "recorder_killed")
    began = rig.now()
    rig.kill("recorder")
    rig.steps[:] = rig.steps[-1:]
    rig.wait(lambda: len(rig.steps) > 5, "control steps", 5.0)
    moved = rig.first_hold(began) is None
    messages = recover(bag)
    rig.restart("recorder")
    return Row(
        name="recorder_killed",
        injected="SIGKILL to the recorder",
        detected_after_periods=0.0 if messages and messages == sum(1 for _ in read_messages(bag)) else None,
        state="the bag can be read; the robot goes on" + (", an arm until its manager stops it" if moved else ""),
        recovered=rig.recovers(),
        recovery="start the recorder again; on an arm release the stop with /reset_safety",
        evidence=f"{messages} messages in the bag, none held back",
    )


def bridge_killed(rig: Rig) -> Row:
    """The bridge dies: nobody commands the robot any more; a driver brakes along the end of its last trajectory."""
    rig.until_moving()
    at = rig.now()
    rig.kill(rig.bridge)
    time.sleep(0.5)
    last = to_ns(rig.steps[-1][1].header.stamp) + rig.period
    managed = "manager" in rig.specs
    if managed:
        rig.restart(rig.bridge)
    else:
        rig.start_again()
    rig.begin_episode()
    return Row(
        name="bridge_killed",
        injected="SIGKILL to the bridge",
        detected_after_periods=max(last - at, 0) / rig.period,
        state="no further command; the driver brakes to its hold",
        recovered=rig.recovers(),
        recovery=("start the bridge again, release the stop with /reset_safety" if managed else "start the graph again")
        + ", begin another episode",
        evidence="the last command ends with its control period",
    )


def _record(rig: Rig, name: str) -> Path:
    root = Path(rig.specs["recorder"].parameters["root"])
    answer = rig.call(StartRecording, topics.START_RECORDING, uri=f"bags/{name}")
    if not answer.success:
        raise CladError(f"the recorder does not record: {answer.message}")
    time.sleep(RECORDED)
    return root / "bags" / name


STORAGE_FAULTS = {"disk_full": disk_full, "recorder_killed": recorder_killed, "bridge_killed": bridge_killed}
