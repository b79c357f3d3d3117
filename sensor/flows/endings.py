"""What all packets of flows come to, and how flows ended, for a table that is asked for it.

`docs/semantics.md` 37. Two counts for either direction of the flow in each slot, and the ends that
wait until everything before the clock is decided.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.flows.ends import NO_ENDS, FlowEnds
from sensor.flows.rows import Ends
from sensor.flows.segments import Segments
from sensor.flows.sequences import END_REASONS
from sensor.flows.state import INHERITED, put, take
from sensor.hops import hop

TOTALS = np.dtype([("packets", np.int64, (2,)), ("octets", np.int64, (2,))])
"""Counted packets of a flow and their IP bytes: from its owner, and to it."""

_AT_ONCE = 8_192
_CLOSED, _IDLE = (END_REASONS.index(reason) for reason in ("closed", "idle"))
_WHO = tuple(name for name in INHERITED if not name.startswith("context"))

Index = NDArray[np.int64]


class Endings:
    """Totals of the flows in a table's slots, and the ends that are not yet taken.

    Attributes:
        heard: whether silence has been heard, rather than assumed as the stream has ended.
    """

    def __init__(self, slots: int, since: int = 0) -> None:
        """Makes the totals of so many slots; flows before the `since`-th are not counted whole."""
        self.heard = True
        self._since = since
        self._totals = np.zeros(slots, TOTALS)
        self._waiting: list[FlowEnds] = []
        self._released: list[FlowEnds] = []

    def count(
        self,
        segments: Segments,
        ip_length: NDArray[np.uint16],
        outward: NDArray[np.bool_],
        gained: Index,
    ) -> NDArray[np.void]:
        """Counts the packets of a block; the totals of its segments' flows after them.

        Args:
            segments: of the block.
            ip_length: ``(packets,)`` in the order of the block.
            outward: ``(packets,)`` by position, whether the packet comes from the owner.
            gained: ``(segments,)`` packets that count.
        """
        totals = np.zeros(segments.slot.size, TOTALS)
        known = np.flatnonzero(~segments.fresh)
        put(totals, known, take(self._totals, segments.slot[known]))
        # those that count are the first ones of a segment
        start, stop = segments.start, segments.start + gained
        octets = ip_length[segments.order]
        for name, values, all_ in (
            ("packets", outward, gained),
            ("octets", octets * outward, _between(octets, start, stop)),
        ):
            outwards = _between(values, start, stop)
            totals[name][:, 0] += outwards
            totals[name][:, 1] += all_ - outwards
        # of several flows of a slot the last assignment stays, which is that of the last one
        put(self._totals, segments.slot, totals)
        return totals

    def add_of_slots(
        self,
        ends: Ends,
        flow: NDArray[np.void],
        origins: NDArray[np.void],
        slots: NDArray[np.int32],
    ) -> None:
        """Takes down those flows in slots that have ended, without further packets.

        Args:
            ends: ``(flows,)`` when and why, if at all.
            flow: ``(flows,)`` their states (`FLOW`).
            origins: by slot, who its flow is (`ORIGIN`).
            slots: ``(flows,)``.
        """
        over = ends.over()
        # all slots may fall due at once, and these records are large
        for begin in range(0, over.size, _AT_ONCE):
            some = over[begin : begin + _AT_ONCE]
            of_some = take(origins, slots[some]), take(self._totals, slots[some])
            self.add(ends.take(some), take(flow, some), *of_some)

    @hop("emit")
    def add(
        self,
        ends: Ends,
        flow: NDArray[np.void],
        origin: NDArray[np.void],
        totals: NDArray[np.void],
    ) -> None:
        """Takes down flows that have ended.

        Args:
            ends: when and why.
            flow: ``(flows,)`` their states (`FLOW`).
            origin: ``(flows,)`` who they are (`ORIGIN`).
            totals: ``(flows,)`` what their packets come to (`TOTALS`).
        """
        if not flow.size:
            return
        whole = ends.reason == _CLOSED
        if self.heard:
            whole |= ends.reason == _IDLE
        self._waiting.append(
            FlowEnds(
                flow_ordinal=flow["ordinal"].copy(),
                start_ns=origin["start_ns"].copy(),
                last_ns=flow["last_ns"].copy(),
                ended_ns=ends.clock,
                end_reason=ends.reason,
                whole=whole & ~origin["midstream"] & (flow["ordinal"] >= self._since),
                packets=totals["packets"].copy(),
                octets=totals["octets"].copy(),
                **{name: origin[name].copy() for name in _WHO},
            )
        )

    @hop("emit")
    def release(self, now: int) -> None:
        """Lets go of flows that ended before now, in order; others may yet end with the rest."""
        if not self._waiting:
            return
        ends = FlowEnds.concatenate(self._waiting)
        self._waiting = []  # whose memory is not held on to while these are sorted
        if not in_order(ends.ended_ns, ends.flow_ordinal):
            ends = ends.take(np.lexsort((ends.flow_ordinal, ends.ended_ns)))
        ready = int(np.searchsorted(ends.ended_ns, now))
        if ready:
            self._released.append(ends.take(slice(ready)))
        if ready < len(ends):
            # a view would hold on to the memory of those that are released
            rest = np.arange(ready, len(ends)) if ready else slice(None)
            self._waiting = [ends.take(rest)]

    def take(self) -> FlowEnds:
        """What has been released since this was last asked."""
        released, self._released = self._released, []
        return FlowEnds.concatenate(released) if released else NO_ENDS


def _between(values: NDArray[Any], start: Index, stop: Index) -> Index:
    """``(segments,)`` sums of the values from one position to before another."""
    sums = np.zeros(values.size + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums[stop] - sums[start]


def in_order(clock: Index, ordinal: Index) -> bool:
    """Whether they are in order of clock and ordinal: sorting a flood would copy it all.

    Nothing is, of which two are equal in both.
    """
    later = clock[1:] > clock[:-1]
    later |= (clock[1:] == clock[:-1]) & (ordinal[1:] > ordinal[:-1])
    return bool(later.all())
