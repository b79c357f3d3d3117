"""The extractor alone: capture files in, batches of rows out (`docs/python-api.md`).

Whatever a program needs for that is imported from here.
"""

import os
from collections.abc import Callable, Iterator, Sequence

from sensor.capture.block import PacketBlock
from sensor.capture.files import CaptureFiles
from sensor.capture.formats import CaptureFile, open_capture
from sensor.errors import TruncatedCaptureError
from sensor.exchange import Lanes
from sensor.flows.columns import columns_of
from sensor.flows.sequences import SequenceBatch
from sensor.flows.slots import DEFAULT_SLOTS
from sensor.lane import Lane
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.pipeline import decide, decoded, rows
from sensor.tables import table_of

__all__ = [
    "Extraction",
    "FeatureSchema",
    "SequenceBatch",
    "columns_of",
    "raise_if_truncated",
    "sequences",
]


def sequences(
    paths: Sequence[str | os.PathLike[str]],
    schema: FeatureSchema | None = None,
    slots: int = DEFAULT_SLOTS,
) -> Iterator[SequenceBatch]:
    """Rows of capture files, the same that the sensor scores and the trainer learns from.

    Args:
        paths: pcap and pcapng files, also compressed with gzip; several are one stream in order
            of time. ``-`` is standard input, and can only be read alone.
        schema: sequence length, key, policies and timeouts; the default one if none is given.
        slots: flows that are held at once, at least 65,536.

    Yields:
        Batches of at least one row. Rows are in order of (decision time, flow, row), also from
        one batch to the next.

    Raises:
        MultaError: a file is missing, not readable, not a capture, or of a foreign link type;
            raised before the first batch.
        TruncatedCaptureError: a file ends within a record; raised after the last batch, so all
            that came before the cut has been yielded.
    """
    extraction = Extraction(paths, schema or FeatureSchema(), slots)
    try:
        yield from (batch for batch in extraction if len(batch))
        extraction.raise_if_truncated()
    finally:
        extraction.close()


class Extraction:
    """What `sequences` does, with its parts in sight for statistics and progress.

    Attributes:
        source: the files.
        decoder: counts what was decoded and refused.
        lanes: the one whose table assembles the rows.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        schema: FeatureSchema,
        slots: int = DEFAULT_SLOTS,
        open_file: Callable[[str, int], CaptureFile] = open_capture,
    ) -> None:
        """Opens all files; arguments and errors are those of `sequences`.

        `open_file` opens one: `sensor.capture.formats.open_capture` or another source's.
        """
        self.source = CaptureFiles(paths, open_file)
        self.decoder = Decoder(schema.decoded)
        self.lanes = Lanes([Lane(table_of(schema, slots))])

    def __iter__(self) -> Iterator[SequenceBatch]:
        """A batch, perhaps an empty one, for each block and for the end of the files."""
        return self.rows_of(iter(self.source))

    def rows_of(self, blocks: Iterator[PacketBlock]) -> Iterator[SequenceBatch]:
        """The same for the source's blocks that have passed through something on their way."""
        return rows(decide(decoded(blocks, self.decoder), self.lanes))

    def raise_if_truncated(self) -> None:
        """Raises TruncatedCaptureError for the first file that was cut, after all were read."""
        raise_if_truncated(self.source.truncated)

    def close(self) -> None:
        """Closes the files."""
        self.source.close()


def raise_if_truncated(truncated: Sequence[str]) -> None:
    """Raises TruncatedCaptureError if there is a line about a cut file."""
    if not truncated:
        return
    more = f" (and {len(truncated) - 1} more files)" if len(truncated) > 1 else ""
    raise TruncatedCaptureError(truncated[0] + more)
