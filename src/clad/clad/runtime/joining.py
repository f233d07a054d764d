"""The ways in which chunks may be joined, by name. Standard library only, so that launch files may ask."""

from __future__ import annotations

STRATEGIES = {
    "sync": "stand still while the next chunk is made, then execute it from its first step",
    "hold": "the newest chunk's step that is due now; hold where there is none",
    "temporal_ensemble": "the mean of every chunk's step that is due now, older chunks weighted more",
    "blend": "a new chunk is faded in over the one that it follows",
    "rtc": "as hold, over chunks that the policy made to continue the one that acts (real-time chunking)",
}
