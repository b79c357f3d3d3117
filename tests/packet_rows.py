"""Packets of a source as rows that can be compared, copied out block by block."""

from typing import Any, NamedTuple

import numpy as np

from sensor.capture.block import BLOCK_PACKETS, GATHER_BYTES


class Packet(NamedTuple):
    """A row."""

    timestamp_ns: int
    frame: bytes
    wire_length: int
    link_type: int


def packets_of(source: Any) -> list[Packet]:
    """All packets of a source, whose blocks are held against what `PacketBlock` promises."""
    rows: list[Packet] = []
    for block in source:
        assert len(block) <= BLOCK_PACKETS
        assert block.buffer.size - int(block.offset.max(initial=0)) >= GATHER_BYTES
        for column in (block.offset, block.captured_length, block.wire_length, block.timestamp_ns):
            assert column.dtype == np.int64
            assert column.shape == (len(block),)
        for column in (block.link_type, block.vlan_tci, block.vlan_tpid):
            assert column.dtype == np.uint16
            assert column.shape == (len(block),)
        ends = block.offset + block.captured_length
        columns = (block.timestamp_ns, block.offset, ends, block.wire_length, block.link_type)
        rows += [
            Packet(time, block.buffer[start:end].tobytes(), wire, link_type)
            for time, start, end, wire, link_type in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]
    return rows
