"""Packet blocks of pcapng as columns (draft-ietf-opsawg-pcapng, sections 4.3, 4.4, appendix A).

`sensor.capture.pcapng` finds them; their interfaces are in `sensor.capture.pcapng_interfaces`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import BLOCK_PACKETS, PacketBlock
from sensor.capture.parser import MAX_CAPTURED_BYTES
from sensor.capture.pcapng_interfaces import Interfaces, nanoseconds

OBSOLETE_PACKET = 2
SIMPLE_PACKET = 3
ENHANCED_PACKET = 6
"""Block types."""

PACKET_HEADER_BYTES = 28
"""Of enhanced and of obsolete packet blocks."""

_SIMPLE_HEADER_BYTES = 12


class FoundPackets(NamedTuple):
    """Packet blocks of one byte order, all whole; columns of length ``packets``.

    Attributes:
        offset: of each block in the buffer.
        kind: one of the block types above.
        length: of the block.
        base: the first interface of its section.
        present: interfaces that were described before it, those of other sections included.
    """

    offset: NDArray[np.int64]
    kind: NDArray[np.uint32]
    length: NDArray[np.int64]
    base: NDArray[np.int64]
    present: NDArray[np.int64]


class PacketColumns(NamedTuple):
    """Packets of a stretch of one byte order; as in `PacketBlock`."""

    offset: NDArray[np.int64]
    captured_length: NDArray[np.int64]
    wire_length: NDArray[np.int64]
    timestamp_ns: NDArray[np.int64]
    link_type: NDArray[np.uint16]


class PacketReader:
    """Reads the packet blocks of one file, in its order."""

    def __init__(self, interfaces: Interfaces) -> None:
        """Packets refer to `interfaces`, which grow as the file is read."""
        self._interfaces = interfaces
        self._latest_ns = 0

    def read(
        self, buffer: NDArray[np.uint8], order: str, found: FoundPackets
    ) -> tuple[PacketColumns, int, str | None]:
        """Columns of packet blocks up to the first that contradicts itself.

        Args:
            buffer: ``(bytes,)``, a multiple of four of them.
            order: ``<`` or ``>``, the byte order of the blocks.
            found: the blocks.

        Returns:
            The columns, how many packets they hold, and what is wrong with the one that follows.
        """
        interfaces = self._interfaces
        offset, kind, length, base, present = found
        items = np.ndarray((buffer.size // 4 - 6,), "V28", buffer, 0, (4,))
        words = items[offset // 4].view(f"{order}u4").reshape(-1, 7).astype(np.int64)
        identity, captured, wire = words[:, 2], words[:, 5], words[:, 6]
        header = np.full(offset.size, PACKET_HEADER_BYTES)
        timed = None
        if (kind != ENHANCED_PACKET).any():
            obsolete, simple = kind == OBSOLETE_PACKET, kind == SIMPLE_PACKET
            short = identity & 0xFFFF if order == "<" else identity >> 16
            wire = np.where(simple, words[:, 2], wire)
            identity = np.where(simple, 0, np.where(obsolete, short, identity))
            header[simple] = _SIMPLE_HEADER_BYTES
            timed = ~simple
        known = identity < present - base
        interface = base + np.where(known, identity, 0)
        if not known.all():
            # Rows of a table that may be empty; they are cut off below.
            interface[~known] = 0
        if timed is not None:
            most = interfaces.snap_length[interface]
            captured = np.where(timed, captured, np.where(most > 0, np.minimum(wire, most), wire))
        room = length - header - 4
        good = known & (captured <= room) & (captured <= MAX_CAPTURED_BYTES)
        count, problem = offset.size, None
        if not good.all():
            count = int(good.argmin())
            problem = (
                f"claims {captured[count]} captured bytes, possible are "
                f"{max(0, min(int(room[count]), MAX_CAPTURED_BYTES))}"
                if known[count]
                else f"is of interface {identity[count]}, which the file does not describe"
            )
        kept = slice(count)
        interface, captured = interface[kept], captured[kept]
        columns = PacketColumns(
            offset=offset[kept] + header[kept],
            captured_length=captured,
            # As in a classic pcap.
            wire_length=np.maximum(wire[kept], captured),
            timestamp_ns=self._times(words[kept], interface, timed),
            link_type=interfaces.link_type[interface],
        )
        return columns, count, problem

    def _times(
        self,
        words: NDArray[np.int64],
        interface: NDArray[np.int64],
        timed: NDArray[np.bool_] | None,
    ) -> NDArray[np.int64]:
        """Times of packets; one without a time has that of the last one before it that has."""
        interfaces = self._interfaces
        units = words[:, 3].astype(np.uint64) << np.uint64(32) | words[:, 4].astype(np.uint64)
        times = nanoseconds(
            units, interfaces.resolution[interface], interfaces.offset_seconds[interface]
        )
        if not times.size:
            return times
        if timed is not None:
            latest = np.maximum.accumulate(np.where(timed[: times.size], np.arange(times.size), -1))
            times = np.where(latest >= 0, times[latest], self._latest_ns)
        self._latest_ns = int(times[-1])
        return times


def blocks_of(
    buffer: NDArray[np.uint8], stretches: Sequence[PacketColumns]
) -> Iterator[PacketBlock]:
    """Blocks of the packets of all stretches, which share a buffer."""
    if not stretches:
        return
    packets = stretches[0] if len(stretches) == 1 else _joined(stretches)
    for first in range(0, packets.offset.size, BLOCK_PACKETS):
        part = slice(first, first + BLOCK_PACKETS)
        none = np.zeros(packets.offset[part].size, np.uint16)
        yield PacketBlock(
            buffer=buffer,
            offset=packets.offset[part],
            captured_length=packets.captured_length[part],
            wire_length=packets.wire_length[part],
            timestamp_ns=packets.timestamp_ns[part],
            vlan_tci=none,
            vlan_tpid=none,
            link_type=packets.link_type[part],
        )


def _joined(stretches: Sequence[PacketColumns]) -> PacketColumns:
    return PacketColumns(
        offset=np.concatenate([each.offset for each in stretches]),
        captured_length=np.concatenate([each.captured_length for each in stretches]),
        wire_length=np.concatenate([each.wire_length for each in stretches]),
        timestamp_ns=np.concatenate([each.timestamp_ns for each in stretches]),
        link_type=np.concatenate([each.link_type for each in stretches]),
    )
