"""A progress bar on standard error, where that is a terminal that can move its cursor."""

import os
import sys
from collections.abc import Iterator

import click

from sensor.capture.block import PacketBlock
from sensor.capture.files import CaptureFiles


def with_progress(source: CaptureFiles, *, hidden: bool = False) -> Iterator[PacketBlock]:
    """The blocks of capture files, shown by the bytes that they take in the files.

    Args:
        source: the files.
        hidden: show nothing, as when the output goes to the same terminal.
    """
    capable = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    if hidden or not capable or not source.size_bytes:
        yield from source
        return
    shown = 0
    with click.progressbar(length=source.size_bytes, file=sys.stderr, width=40) as bar:
        for block in source:
            yield block
            bar.update(source.position_bytes - shown)
            shown = source.position_bytes
        bar.update(source.size_bytes - shown)
