"""What tells which packet answers which: numbers of TCP and of echo messages, TCP timestamps.

Read only where somebody measures round-trip times (`docs/semantics.md`, "Latency").
"""

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import PacketBlock
from sensor.packets.datagrams import Datagrams
from sensor.packets.gather import Bytes, Index, gather, gather_far
from sensor.packets.headers import ICMP, ICMPV6, TCP

ECHO_TYPES = {ICMP: (8, 0), ICMPV6: (128, 129)}
"""Message types of echo request and reply: RFC 792, RFC 4443 section 4."""

_ECHO = np.uint64(1 << 32)
_HEADER = 20
_OPTIONS = 40
"""Most bytes of TCP options: a data offset of 15 words (RFC 9293 section 3.1)."""
_END, _NO_OPERATION, _TIMESTAMPS, _TIMESTAMPS_BYTES = 0, 1, 8, 10
"""Kinds of options (RFC 9293 section 3.2, RFC 7323 section 3.2)."""
_USUAL = 0x0101080A
"""Two no-operations and the timestamps option: the layout of RFC 7323 appendix A, which nearly all
segments after the first two have."""


def read_sequence_numbers(datagrams: Datagrams) -> NDArray[np.uint64]:
    """`Headers.sequence_numbers`; only of packets that `read_segments` does not refuse."""
    head, protocol = datagrams.transport, datagrams.protocol
    tcp = _is_tcp(datagrams)
    # sequence and acknowledgement number stand side by side
    numbers: NDArray[np.uint64] = head[:, 4:12].view(">u8")[:, 0] * tcp
    held = np.minimum(datagrams.total, datagrams.captured) - datagrams.header >= 8
    held[datagrams.later] = False
    for version, types in ECHO_TYPES.items():
        at = np.flatnonzero((protocol == version) & held)
        if at.size:
            at = at[((head[at, 0] == types[0]) | (head[at, 0] == types[1])) & (head[at, 1] == 0)]
            numbers[at] = head[at, 4:8].view(">u4")[:, 0] | _ECHO
    return numbers


def read_timestamps(block: PacketBlock, datagrams: Datagrams) -> NDArray[np.uint64]:
    """`Headers.tcp_timestamps`; 0 as well where the options were not captured whole."""
    stamps = np.zeros(datagrams.protocol.size, np.uint64)
    size = (datagrams.transport[:, 12] >> 4).astype(np.int64) << 2
    held = datagrams.captured - datagrams.header >= size
    at = np.flatnonzero(_is_tcp(datagrams) & held & (size >= _HEADER + 12))
    if not at.size:
        return stamps
    rows = datagrams.rows[at]
    start = block.offset[rows] + datagrams.link[at] + datagrams.header[at] + _HEADER
    lead = gather(block.buffer, start, 12)
    usual = lead[:, :4].view(">u4")[:, 0] == _USUAL
    stamps[at[usual]] = lead[usual, 4:12].view(">u8")[:, 0]
    other = np.flatnonzero(~usual)
    if other.size:
        options = gather_far(block.buffer, start[other], _OPTIONS)
        found = _find(options, size[at[other]] - _HEADER)
        rows = np.flatnonzero(found >= 0)
        values = options[rows[:, None], found[rows][:, None] + np.arange(8)]
        stamps[at[other[rows]]] = values.view(">u8")[:, 0]
    return stamps


def _is_tcp(datagrams: Datagrams) -> NDArray[np.bool_]:
    tcp: NDArray[np.bool_] = datagrams.protocol == TCP
    tcp[datagrams.later] = False
    return tcp


def _find(options: Bytes, limit: Index) -> Index:
    """Where the values of the first timestamps option begin in each row; −1 where there are none.

    An option's length counts its first two bytes too; with a smaller one the rest means nothing.
    """
    found = np.full(limit.size, -1, np.int64)
    rows, place = np.arange(limit.size), np.zeros(limit.size, np.int64)
    while rows.size:
        kind = options[rows, place]
        length = options[rows, np.minimum(place + 1, _OPTIONS - 1)].astype(np.int64)
        hit = (kind == _TIMESTAMPS) & (length == _TIMESTAMPS_BYTES)
        hit &= place + _TIMESTAMPS_BYTES <= limit[rows]
        found[rows[hit]] = place[hit] + 2
        one = kind == _NO_OPERATION
        place += np.where(one, 1, length)
        going = ~hit & (kind != _END) & (one | (length > 1)) & (place < limit[rows])
        rows, place = rows[going], place[going]
    return found
