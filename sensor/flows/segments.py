"""A block of packets cut into segments: the part of one flow that lies in the block.

Pure functions over columns. A slot's packets are one run; idle gaps and ports that are reused
after a close cut a run into segments, so that a flow never spans two and the result does not
depend on where a block ends (`docs/semantics.md` 5).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.hops import hop
from sensor.packets.headers import ACK, FIN, RST, SYN

FIN_LOWER, FIN_UPPER, CLOSED = 1, 2, 4
"""Bits of a flow's closing state: FIN seen from the lower or upper endpoint; closed."""

Index = NDArray[np.int64]
Flags = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Segments:
    """Segments of a block, ordered by slot run and time.

    Positions are into the block's packets as sorted by `order`.

    Attributes:
        order: ``(packets,)`` packet numbers, grouped by slot, in packet order within.
        of_packet: ``(packets,)`` segment of each position.
        start, stop: ``(segments,)`` first position, and the one after the last.
        slot: ``(segments,)``.
        fresh: ``(segments,)`` whether the flow begins with the segment.
        final: ``(segments,)`` whether it is the last of its slot in the block.
        closing: ``(segments,)`` position of the packet that closes the flow: −1 if it was closed
            before, the number of packets if it stays open.
        closed_bits: ``(segments,)`` closing state after the segment.
    """

    order: Index
    of_packet: Index
    start: Index
    stop: Index
    slot: NDArray[np.int32]
    fresh: Mask
    final: Mask
    closing: Index
    closed_bits: Flags

    def beginnings(self) -> tuple[Index, Index]:
        """Segments with which flows begin, in order of first packets, and these packets."""
        fresh = np.flatnonzero(self.fresh)
        first = self.order[self.start[fresh]]
        by_first = np.argsort(first, kind="stable")
        return fresh[by_first], first[by_first]

    def counted(self) -> Mask:
        """Which positions are packets of flows that are open, closing ones included."""
        return np.arange(self.order.size) <= self.closing[self.of_packet]

    def gained(self) -> Index:
        """How many packets of each segment count."""
        return np.maximum(np.minimum(self.stop, self.closing + 1) - self.start, 0)

    def sides(self, outward: Mask, counted: Mask) -> Flags:
        """Directions seen by each segment: bit 1 from the owner, bit 2 to it.

        Args:
            outward: ``(packets,)`` by position, whether the packet comes from the owner.
            counted: ``(packets,)`` by position, which packets count.
        """
        seen = np.logical_or.reduceat(outward & counted, self.start).astype(np.uint8)
        seen |= np.logical_or.reduceat(~outward & counted, self.start).astype(np.uint8) << 1
        return seen


@hop("group")
def group(slot: NDArray[np.int32], scratch: NDArray[np.uint16]) -> Index:
    """Packet numbers sorted by slot, stable; a radix sort by way of 16-bit stand-ins.

    Args:
        slot: ``(packets,)`` with at most 65,536 packets.
        scratch: one cell a slot, of any content.
    """
    scratch[slot] = np.arange(slot.size).astype(np.uint16)
    return np.argsort(scratch[slot], kind="stable")


@hop("group")
def cut(
    order: Index,
    slot: NDArray[np.int32],
    clock_ns: Index,
    flags: Flags,
    from_lower: Mask,
    live: Mask,
    last_clock_ns: Index,
    closed_bits: Flags,
    idle_ns: int,
) -> Segments:
    """Cuts the runs of a block into segments.

    Args:
        order: as `group` gives it.
        slot: ``(packets,)`` slot of each packet, in that order; so are the next three.
        clock_ns: flow clock at each packet.
        flags: TCP flags.
        from_lower: whether the source is the lower endpoint.
        live: by slot, whether it holds a flow.
        last_clock_ns: by slot, the flow clock at its last packet.
        closed_bits: by slot, its closing state.
        idle_ns: the idle timeout.
    """
    packets = slot.size
    head = np.empty(packets, np.bool_)
    head[:1] = True
    np.not_equal(slot[1:], slot[:-1], out=head[1:])
    heads = np.flatnonzero(head)
    head_slot = slot[heads]
    previous = np.empty(packets, np.int64)
    previous[1:] = clock_ns[:-1]
    previous[heads] = last_clock_ns[head_slot]
    fresh = clock_ns > previous + idle_ns
    fresh[heads] |= ~live[head_slot]

    start, of_packet, initial = _initial(head, fresh, slot, closed_bits)
    closing, bits = _closings(of_packet, flags, from_lower, initial)
    reused = _reused_ports(start, of_packet, closing, flags, from_lower)
    if reused:
        fresh[reused] = True
        start, of_packet, initial = _initial(head, fresh, slot, closed_bits)
        closing, bits = _closings(of_packet, flags, from_lower, initial)
    stop = np.append(start[1:], packets)
    final = np.append(slot[start[1:]] != slot[start[:-1]], True)
    return Segments(
        order=order,
        of_packet=of_packet,
        start=start,
        stop=stop,
        slot=slot[start],
        fresh=fresh[start],
        final=final,
        closing=closing,
        closed_bits=bits,
    )


def _initial(
    head: Mask, fresh: Mask, slot: NDArray[np.int32], closed_bits: Flags
) -> tuple[Index, Index, Flags]:
    """First positions of segments, the segment of each position, and closing states before."""
    begins = head | fresh
    start = np.flatnonzero(begins)
    of_packet = np.repeat(np.arange(start.size), np.diff(start, append=slot.size))
    return start, of_packet, np.where(fresh[start], np.uint8(0), closed_bits[slot[start]])


def _closings(
    of_packet: Index, flags: Flags, from_lower: Mask, initial: Flags
) -> tuple[Index, Flags]:
    """Closing positions and closing states of segments, as in `Segments`."""
    segments, packets = initial.size, of_packet.size
    events = np.flatnonzero(flags & (FIN | RST))
    # one row each: first RST, first FIN from the lower endpoint, first FIN from the upper one
    first = np.full((3, segments), packets, np.int64)
    first[1, (initial & FIN_LOWER) != 0] = -1
    first[2, (initial & FIN_UPPER) != 0] = -1
    if events.size:
        reset = (flags[events] & RST) != 0
        lower = from_lower[events]
        for row, chosen in enumerate((reset, ~reset & lower, ~reset & ~lower)):
            at = events[chosen]
            np.minimum.at(first[row], of_packet[at], at)
    closing = np.minimum(first[0], np.maximum(first[1], first[2]))
    closing[(initial & CLOSED) != 0] = -1
    bits = np.where(first[1] < packets, FIN_LOWER, 0) | np.where(first[2] < packets, FIN_UPPER, 0)
    bits |= np.where(closing < packets, CLOSED, 0)
    return closing, bits.astype(np.uint8)


def _reused_ports(
    start: Index, of_packet: Index, closing: Index, flags: Flags, from_lower: Mask
) -> list[int]:
    """Positions of SYNs that begin a flow because the one before them has closed.

    Rare: packet by packet, but only through the segments in which it happens.
    """
    opening = np.flatnonzero((flags & (SYN | ACK)) == SYN)
    if not opening.size:
        return []
    reopened = of_packet[opening[opening > closing[of_packet[opening]]]].tolist()
    if not reopened:
        return []
    stop = np.append(start[1:], of_packet.size)
    found = []
    for segment in dict.fromkeys(reopened):
        begin, end = int(closing[segment]) + 1, int(stop[segment])
        begin = max(begin, int(start[segment]))
        closed = CLOSED
        events = flags[begin:end].tolist()
        for position, (bits, lower) in enumerate(
            zip(events, from_lower[begin:end].tolist(), strict=True), start=begin
        ):
            if closed & CLOSED:
                if bits & (SYN | ACK) != SYN:
                    continue
                found.append(position)
                closed = 0
            if bits & RST:
                closed = CLOSED
            elif bits & FIN:
                closed |= FIN_LOWER if lower else FIN_UPPER
                if closed & FIN_LOWER and closed & FIN_UPPER:
                    closed = CLOSED
    return found
