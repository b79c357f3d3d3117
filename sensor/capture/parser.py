"""What the parsers of capture formats have in common: chunks of bytes in, blocks out."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import PacketBlock

MAX_CAPTURED_BYTES = 262_144
"""libpcap's MAXIMUM_SNAPLEN: no tool writes a longer Ethernet record."""


class Parsed(NamedTuple):
    """What a chunk holds.

    Attributes:
        blocks: of at most `BLOCK_PACKETS` packets each, over the chunk's buffer; made as they are
            asked for.
        whole_bytes: that the whole records took; what follows them comes again with more behind.
        problem: what is wrong with the record that follows, if it can't be gone past.
    """

    blocks: Iterable[PacketBlock]
    whole_bytes: int
    problem: str | None


class Parser(Protocol):
    """A format, as far as one file has been read.

    Attributes:
        header_bytes: to be skipped before the first chunk.
        most_bytes: of a record that is not corrupt.
    """

    header_bytes: int
    most_bytes: int

    def parse(self, buffer: NDArray[np.uint8], end: int) -> Parsed:
        """Finds the whole records in ``buffer[:end]``, which begins with one.

        At least `GATHER_BYTES` bytes past `end` are readable.

        Raises:
            LinkTypeError: no frame of the file is of a link type that is decoded.
        """
        ...

    def describe_rest(self, buffer: NDArray[np.uint8], start: int, end: int) -> str:
        """What is wrong with the record of which ``buffer[start:end]`` is all there is."""
        ...

    def finish(self) -> None:
        """What only the end of a file without packets shows.

        Raises:
            LinkTypeError: as in `parse`.
        """
        ...
