"""Where the frames of ring blocks lie: the chain of ``tpacket3_hdr`` without a Python loop.

A record's place is known only from the record before it. But the 8 bytes at 24 of each header
(where the frame begins, and a hash that is not asked for) are the same for all frames of a link,
and headers are aligned to 8 bytes: so a block is searched for them. What is found counts if it is
a chain, each header pointing at the next one, from the first to the last. If it is not, because a
frame holds the same 8 bytes, the chain is followed one by one: a frame can cost time, never
correctness.

Indices are those of 32-bit words. Layouts are those of linux/if_packet.h.
"""

import numpy as np
from numpy.typing import NDArray

PACKETS, FIRST, USED_BYTES = 3, 4, 5
"""Of ``struct tpacket_block_desc``, in 32-bit words: frames, offset of the first, bytes used."""

_ALIKE_AT = 3  # of struct tpacket3_hdr, in 64-bit words: tp_mac, tp_net and the hash
_WORTHWHILE = 24  # frames below which to follow the chain is quicker
_SPARSE = 64  # 64-bit words a frame above which it is, too


def record_offsets(words: memoryview, longs: NDArray[np.uint64], start: int) -> NDArray[np.int64]:
    """Where the frame headers of a block lie.

    Args:
        words: the ring as 32-bit words.
        longs: the ring as 64-bit words.
        start: the block's first 32-bit word.

    Returns:
        ``(frames,)`` int64, bytes from the start of the ring.
    """
    count, used = words[start + PACKETS], words[start + USED_BYTES]
    first = start + words[start + FIRST] // 4
    if count < _WORTHWHILE or used > 8 * _SPARSE * count:
        return _followed(words, first, count)
    found = _searched(longs, first // 2, (start + used // 4) // 2, count)
    return _followed(words, first, count) if found is None else found


def _searched(
    longs: NDArray[np.uint64], first: int, end: int, count: int
) -> NDArray[np.int64] | None:
    """The headers between two 64-bit words if they can be told from what frames hold."""
    column = longs[first + _ALIKE_AT : end]
    at = np.flatnonzero(column == column[0])
    if at.size != count:
        return None
    at += first
    steps = longs.view(np.uint32)[2 * at[:-1]]
    at *= 8
    return at if (np.diff(at) == steps).all() else None


def _followed(words: memoryview, position: int, count: int) -> NDArray[np.int64]:
    chain = [0] * count
    for number in range(count):
        chain[number] = position
        position += words[position] // 4
    return np.array(chain, np.int64) * 4
