"""What a campaign's bags take: one that does not fit must not begin, nor end in the middle of an episode."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from clad.campaign.manifest import Entry
from clad.contract import RobotContract
from clad.errors import CladError

# measured, and rounded up (docs/campaigns.md): what compression leaves of LIBERO's pictures, a foresight with its chunk
# and a control step without pictures, in bytes
SHARE_OF_PICTURES, A_PLAN, A_STEP = 0.65, 16_000, 2_000
RESERVE = 1_000_000_000  # bytes left to everybody else


def episode_bytes(
    contract: RobotContract, *, steps: int, every: int, simulated: bool, before: Sequence[Entry] = ()
) -> int:
    """What an episode takes that lasts for all its control steps, with pictures and a plan every so many of them.

    before: episodes of the same condition that are done; where there are some, the longest strides of their bags tell.
    Else the contract does: on an arm it holds the bridge's pictures and, taken to be as large, the driver's own.
    """
    if before:
        return round(max(entry.bag_bytes / max(entry.row["steps"], 1) for entry in before) * steps)
    pictures = 3 * contract.image_size**2 * len(contract.cameras) * (1 if simulated else 2)
    return round((steps // every + 2) * (pictures * SHARE_OF_PICTURES + A_PLAN)) + steps * A_STEP


def free_bytes(folder: Path) -> int:
    """On the disk where a folder is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_room(folder: Path, episodes: Iterable[int]) -> None:
    """Raises CladError when episodes of so many bytes each, and RESERVE, do not fit on the folder's disk."""
    needed, free = sum(episodes) + RESERVE, free_bytes(folder)
    if needed > free:
        raise CladError(
            f"{folder} may need {needed / 1e9:.1f} GB with {RESERVE / 1e9:g} GB in reserve, and {free / 1e9:.1f} GB are free",
            "Free some, give an --out on another disk, or lower max_steps",
        )
