"""Keeping Python's garbage collector out of the control loop."""

from __future__ import annotations

import gc


def set_aside() -> None:
    """Collect what is garbage and have the collector never look again at what lives on: models, libraries, message types.

    A full collection walks every object. In these nodes that takes 8 to 40 ms, most of a control period, whenever enough
    new objects have lived for a while; of what is left to look at after this it takes microseconds. To be called when
    everything is set up, and again after each large change: what was set aside and has died meanwhile is freed then.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
