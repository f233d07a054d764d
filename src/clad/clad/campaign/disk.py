"""What a campaign's bags take, before any is recorded: a campaign that does not fit must not begin."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from clad.contract import RobotContract
from clad.errors import CladError

# of raw pictures, what a bag takes altogether when compressed: the most that was seen of LIBERO and the fake robot
# (0.45 to 0.6 of the pictures, other topics included); docs/campaigns.md has the measurement
SHARE_OF_PICTURES = 0.65
RESERVE = 1_000_000_000  # bytes left to everybody else


def episode_bytes(contract: RobotContract, *, steps: int, every: int) -> int:
    """The most that an episode takes: all its control steps, with pictures every so many of them."""
    pictures = -(-steps // every) + 1
    raw = 3 * contract.image_size**2 * len(contract.cameras)
    return round(pictures * raw * SHARE_OF_PICTURES)


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
