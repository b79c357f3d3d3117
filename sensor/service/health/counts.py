"""What frames were seen and what decoding made of them, in one process or over several."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sensor.capture.block import PacketBlock
from sensor.packets.headers import REFUSALS


class DecoderCounts(Protocol):
    """The counters of a decoder; see `sensor.packets.decode.Decoder`."""

    decoded: int
    refused: dict[str, int]
    offloaded: int

    @property
    def slow(self) -> int:
        """Frames that took the slow path."""
        ...

    @property
    def fragments_unmatched(self) -> int:
        """Later fragments whose first one was not known."""
        ...


@dataclass(slots=True)
class FrameCounts:
    """Frames that entered the chain.

    Attributes:
        packets, bytes: their number, and their bytes on the wire.
        first_ns, last_ns: least and greatest time of one; 0 before the first one.
    """

    packets: int = 0
    bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def of(self, blocks: Iterable[PacketBlock]) -> Iterator[PacketBlock]:
        """The blocks, counted when they are passed on."""
        for block in blocks:
            self.add(block)
            yield block

    def add(self, block: PacketBlock) -> None:
        """Counts the frames of a block."""
        if not len(block):
            return
        tags = int(np.count_nonzero(block.vlan_tpid))
        first, last = int(block.timestamp_ns.min()), int(block.timestamp_ns.max())
        octets = int(block.wire_length.sum()) + 4 * tags
        self.join(FrameCounts(len(block), octets, first, last))

    def join(self, other: "FrameCounts") -> None:
        """Counts what another one has counted."""
        if not other.packets:
            return
        self.first_ns = min(self.first_ns, other.first_ns) if self.packets else other.first_ns
        self.last_ns = max(self.last_ns, other.last_ns) if self.packets else other.last_ns
        self.packets += other.packets
        self.bytes += other.bytes


@dataclass(slots=True)
class DecodedCounts:
    """The counters of several decoders together (`DecoderCounts`)."""

    decoded: int = 0
    refused: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REFUSALS, 0))
    slow: int = 0
    offloaded: int = 0
    fragments_unmatched: int = 0

    def join(self, other: DecoderCounts) -> None:
        """Counts what another one has counted."""
        self.decoded += other.decoded
        self.slow += other.slow
        self.offloaded += other.offloaded
        self.fragments_unmatched += other.fragments_unmatched
        for reason, count in other.refused.items():
            self.refused[reason] += count
