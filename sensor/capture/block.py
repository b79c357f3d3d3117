"""The unit of work of the sensor: a block of frames as columns over one buffer.

A leaf: no capture source is imported here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_PACKETS = 16_384
"""Frames a file source puts into a block: numpy's per-call cost is spread over this many."""

MAX_BLOCK_PACKETS = 65_536
"""Hard limit: positions inside a block must fit 16 bits, which keeps its sorts radix sorts."""

GATHER_BYTES = 128
"""Readable bytes that a buffer guarantees after the start of every frame (zeros or foreign
bytes past the captured length), so that headers of all frames are gathered in one go."""


@dataclass(frozen=True, slots=True)
class PacketBlock:
    """Frames in the order in which the source delivered them.

    Attributes:
        buffer: ``(bytes,)`` uint8, the memory that holds the frames. It is only valid until the
            source is asked for its next block: what outlives the block is copied.
        offset: ``(packets,)`` int64, start of each frame in `buffer`; at least `GATHER_BYTES`
            bytes are readable from there.
        captured_length: ``(packets,)`` int64 bytes present from `offset` on.
        wire_length: ``(packets,)`` int64 bytes that the frame had on the wire.
        timestamp_ns: ``(packets,)`` int64, the frame's own time since 1970 in nanoseconds.
        vlan_tci: ``(packets,)`` uint16, tag control information of a VLAN tag that the kernel
            stripped from the frame, else 0.
        vlan_tpid: ``(packets,)`` uint16, its tag protocol identifier; 0 where none was stripped.
        link_type: ``(packets,)`` uint16, pcap link type of each frame (a pcapng file may mix
            them). `one_link_type` makes the column of a source that has but one.
        clock_ns: lower bound of the flow clock after this block. A live source advances it on a
            silent link (an empty block is a tick); 0 where only packets move the clock.
    """

    buffer: NDArray[np.uint8]
    offset: NDArray[np.int64]
    captured_length: NDArray[np.int64]
    wire_length: NDArray[np.int64]
    timestamp_ns: NDArray[np.int64]
    vlan_tci: NDArray[np.uint16]
    vlan_tpid: NDArray[np.uint16]
    link_type: NDArray[np.uint16]
    clock_ns: int = 0

    def __len__(self) -> int:
        return int(self.offset.size)


@dataclass(slots=True)
class CaptureCounters:
    """What a source has delivered, lost, and not been shown or left out so far."""

    packets: int = 0
    bytes: int = 0
    kernel_drops: int = 0
    offload_frames: int = 0
    bypassed: int = 0
    cut: int = 0


def one_link_type(link_type: int, packets: int) -> NDArray[np.uint16]:
    """A link type column ``(packets,)`` of one value, read-only and without memory of its own."""
    return np.broadcast_to(np.uint16(link_type), (packets,))
