"""Bytes of all frames at once: what a vectorized decoder reads with.

Headers are gathered with overlapping void views, one copy of a fixed number of bytes a packet
(~5 ns; an index array a byte costs ten times that); every field is then a strided column.
"""

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Index = NDArray[np.int64]


def gather(buffer: Bytes, start: Index, width: int) -> Bytes:
    """``(packets, width)`` bytes from each start; all of them must lie within the buffer.

    That is so for the first `sensor.capture.block.GATHER_BYTES` of every frame.
    """
    view = np.ndarray((buffer.size - width + 1,), f"V{width}", buffer, strides=(1,))
    gathered: Bytes = view[start].view(np.uint8).reshape(-1, width)
    return gathered


def gather_far(buffer: Bytes, start: Index, width: int) -> Bytes:
    """The same where the end of the buffer may be near; bytes past it repeat its last one."""
    gathered: Bytes = buffer[np.minimum(start[:, None] + np.arange(width), buffer.size - 1)]
    return gathered


def words_of(octets: Bytes, at: int) -> NDArray[np.uint16]:
    """The 16-bit words, in network order, at a position of each row of gathered bytes."""
    column: NDArray[np.uint16] = octets[:, at : at + 2].view(">u2")[:, 0]
    return column


def by_number(values: dict[int, int], default: int = 0) -> Index:
    """``(256,)`` values by protocol number, message type or other octet."""
    column = np.full(256, default, np.int64)
    column[list(values)] = list(values.values())
    return column
