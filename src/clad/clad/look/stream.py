"""Where a scene is drawn: on a page, into a file, or both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clad.errors import UsageError
from clad.look.serve import Page, require_rerun

if TYPE_CHECKING:
    import rerun as rr

APPLICATION = "clad"
SUFFIX = ".rrd"
FLUSH = 0.1  # s; fewer and larger pieces are less work for the browser, and nobody sees the delay


@contextmanager
def open_stream(page: Page | None, save: Path | None) -> Iterator[rr.RecordingStream]:
    """A Rerun recording that goes to the page and to the file; at the end everything has arrived.

    Raises CladError when Rerun is not installed, UsageError when there is neither page nor file, or it is no .rrd file.
    """
    require_rerun()
    import rerun as rr

    if save is not None and save.suffix != SUFFIX:
        raise UsageError(f"'{save}' is no name for a Rerun recording", f"Give one that ends in {SUFFIX}")
    sinks = []
    if page is not None:
        sinks.append(rr.GrpcSink(page.data))
    if save is not None:
        save.parent.mkdir(parents=True, exist_ok=True)
        sinks.append(rr.FileSink(str(save)))
    if not sinks:
        raise UsageError("neither a page nor a file to draw into", "Give --save FILE.rrd, or leave out --no-page")
    batches = rr.ChunkBatcherConfig()
    batches.flush_tick = FLUSH
    stream = rr.RecordingStream(APPLICATION, batcher_config=batches)
    stream.set_sinks(*sinks)
    try:
        yield stream
    finally:
        stream.flush()
        stream.disconnect()
