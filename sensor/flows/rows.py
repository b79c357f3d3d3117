"""Which rows a block decides, and what is in them.

`plan_rows` works out, for every segment at once, the early, the full and the last row of its
flow; `PacketStore` holds the packets of sequences that are still open and fills the rows from
there and from the block (`docs/semantics.md` 7).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import END_REASONS, ROW_TYPES, SequenceBatch
from sensor.flows.slots import FOREVER
from sensor.flows.state import INHERITED
from sensor.hops import hop
from sensor.model.schema import FeatureSchema

Index = NDArray[np.int64]

_TYPES: dict[str, type[np.generic]] = {
    "ip_length": np.uint16,
    "payload_length": np.uint16,
    "interarrival_us": np.uint32,
    "direction": np.int8,
    "tcp_flags": np.uint8,
}
"""What the packets of every row have."""
_EARLY, _FULL, _IDLE = (END_REASONS.index(reason) for reason in ("early", "full", "idle"))


@dataclass(frozen=True, slots=True)
class Pieces:
    """The packets of a block that rows want, grouped by segment, in order within.

    Attributes:
        gained: ``(segments,)`` packets that the segment's flow gains by the block, wanted or not.
        segment: ``(packets,)``.
        number: ``(packets,)`` number of the packet within its flow, from 0.
        clock: ``(packets,)`` flow clock at the packet.
        time: ``(packets,)`` its own time.
        packets: ``(packets,)`` what a row has of its packets (`packet_type`).
    """

    gained: Index
    segment: Index
    number: Index
    clock: Index
    time: Index
    packets: NDArray[np.void]

    @classmethod
    def none(cls, segments: int, optional: Collection[str] = ()) -> "Pieces":
        """No packets: what a deadline brings, for a schema's `optional`."""
        gained, none = np.zeros(segments, np.int64), np.zeros(0, np.int64)
        return cls(gained, none, none, none, none, np.zeros(0, packet_type(optional)))


def packet_type(optional: Collection[str] = ()) -> "np.dtype[np.void]":
    """A packet as a record of what rows have of it, for a schema's `optional`."""
    return np.dtype([*_TYPES.items(), *((name, ROW_TYPES[name]) for name in optional)])


@dataclass(frozen=True, slots=True)
class Ends:
    """How the flows of segments end: `clock` (`FOREVER`: not yet, or before) and `reason`."""

    clock: Index
    reason: NDArray[np.uint8]

    def over(self) -> Index:
        """Which of the flows end at all."""
        return np.flatnonzero(self.clock < FOREVER)

    def take(self, flows: Index) -> "Ends":
        """Those of the given flows."""
        return Ends(self.clock[flows], self.reason[flows])


@dataclass(frozen=True, slots=True)
class RowPlan:
    """The rows of a block, and what becomes of its segments.

    A row holds `carry` packets from the store and then `count` pieces from `begin` on.

    Attributes:
        segment, carry, begin, count, index, decided, reason, number: ``(rows,)``; `index` is the
            sequence index and `number` that of the row within its flow.
        rows: ``(segments,)`` rows that the flow has gained.
        early_ns, early_length: ``(segments,)`` state of the early row afterwards.
        open_piece: ``(pieces,)`` whether the piece's sequence is not full by the end.
    """

    segment: Index
    carry: Index
    begin: Index
    count: Index
    index: Index
    decided: Index
    reason: NDArray[np.uint8]
    number: Index
    rows: Index
    early_ns: Index
    early_length: Index
    open_piece: NDArray[np.bool_]


def _wanted(index: Index, schema: FeatureSchema) -> NDArray[np.bool_]:
    wanted: NDArray[np.bool_] = index == 0
    if "repeat" in schema.policies:
        wanted |= (index < schema.repeat_all) | ((index & (index - 1)) == 0)
    return wanted


def unwanted(number: Index, schema: FeatureSchema) -> Index:
    """Positions of packets, by their numbers within flows, that no sequence to emit holds."""
    emitted = schema.repeat_all if "repeat" in schema.policies else 1
    far = np.flatnonzero(number >= emitted * schema.n)
    return far[~_wanted(number[far] // schema.n, schema)] if far.size else far


@hop("emit")
def plan_rows(
    schema: FeatureSchema, flow: NDArray[np.void], pieces: Pieces, ends: Ends, now: int
) -> RowPlan:
    """Rows that are decided up to the clock `now`.

    Args:
        schema: sequence length and policies.
        flow: ``(segments,)`` states (`sensor.flows.state.FLOW`) before the block.
        pieces: packets of the block.
        ends: how the segments' flows end.
        now: flow clock; deadlines before it have passed.
    """
    n, segments = schema.n, flow.size
    before = flow["packets"]
    added, of_piece, number, clock = pieces.gained, pieces.segment, pieces.number, pieces.clock

    # instances: the part of one sequence that lies in the block
    step = number % n
    new = step == 0
    new[:1] = True
    new[1:] |= of_piece[1:] != of_piece[:-1]
    begin = np.flatnonzero(new)
    count = np.diff(begin, append=number.size)
    carry = step[begin]
    full = np.flatnonzero(carry + count == n)
    open_piece = np.repeat(carry + count < n, count)

    # early rows: what sequence 0 held when the deadline passed
    # (a packet that ends the flow at the very deadline comes before it, silence after it)
    final_clock = ends.clock + (ends.reason == _IDLE) * (ends.clock < FOREVER)
    pending = (flow["early_ns"] < now) & (flow["early_ns"] < final_clock)
    due = np.flatnonzero(pending & (before < n))
    in_time = (number < n) & (clock <= flow["early_ns"][of_piece])
    early_count = np.bincount(of_piece[in_time], minlength=segments)
    due = due[before[due] + early_count[due] < n]
    first_piece = np.searchsorted(of_piece, due)
    early_length = flow["early_length"].astype(np.int64)
    early_length[due] = before[due] + early_count[due]

    # last rows: what an ended flow's open sequence holds
    total = before + added
    rest = total % n
    last_index = total // n
    least = np.where(last_index == 0, early_length + 1, schema.repeat_min_packets)
    ended = ends.clock < FOREVER
    last = np.flatnonzero(ended & (rest >= np.maximum(least, 1)) & _wanted(last_index, schema))
    last_count = np.minimum(added[last], rest[last])

    early_ns = flow["early_ns"].copy()
    early_ns[due] = FOREVER
    early_ns[ended | (total >= n)] = FOREVER

    segment = np.concatenate((due, of_piece[begin[full]], last))
    sequence = number[begin[full]] // n
    index = np.concatenate((np.zeros(due.size, np.int64), sequence, last_index[last]))
    rows = np.bincount(segment, minlength=segments)
    return RowPlan(
        segment=segment,
        carry=np.concatenate((before[due], carry[full], rest[last] - last_count)),
        begin=np.concatenate(
            (first_piece, begin[full], np.searchsorted(of_piece, last, "right") - last_count)
        ),
        count=np.concatenate((early_count[due], count[full], last_count)),
        index=index,
        decided=np.concatenate(
            (flow["early_ns"][due], clock[begin[full] + count[full] - 1], ends.clock[last])
        ),
        reason=np.concatenate(
            (np.full(due.size, _EARLY), np.full(full.size, _FULL), ends.reason[last])
        ).astype(np.uint8),
        number=flow["rows"][segment] + _ranks(segment, index, rows, due.size),
        rows=rows,
        early_ns=early_ns,
        early_length=early_length,
        open_piece=open_piece,
    )


def _ranks(segment: Index, index: Index, rows: Index, early: int) -> Index:
    """Number of each row among those of its segment: by sequence index, the early row first."""
    if rows.max(initial=0) <= 1:
        return np.zeros(segment.size, np.int64)
    kind = np.ones(segment.size, np.int8)
    kind[:early] = 0
    ranked = np.lexsort((kind, index, segment))
    ranked_segment = segment[ranked]
    rank = np.empty(segment.size, np.int64)
    rank[ranked] = np.arange(segment.size) - np.searchsorted(ranked_segment, ranked_segment)
    return rank


class PacketStore:
    """Packets of open sequences, plane by plane: packet k of every slot lies together.

    So a flood of one-packet flows touches the first plane only. Packets are records that are
    copied as opaque bytes: column by column takes several times as long.

    Attributes:
        packet: type of such a record (`packet_type`).
    """

    def __init__(self, n: int, slots: int, optional: Collection[str] = ()) -> None:
        """Makes an empty store for a schema's n and `optional`."""
        self._n, self._slots = n, slots
        self.packet = packet_type(optional)
        self._octets = np.dtype(f"V{self.packet.itemsize}")
        self._planes = np.zeros(n * slots, self._octets)

    @hop("emit")
    def keep(
        self,
        plan: RowPlan,
        pieces: Pieces,
        slots: NDArray[np.int32],
        staying: NDArray[np.bool_],
        flow: NDArray[np.void],
    ) -> None:
        """Stores what open sequences have gained; `flow` learns when they began and went on.

        Args:
            plan: of the block.
            pieces: of the block.
            slots: ``(segments,)``.
            staying: ``(segments,)`` whether the segment's flow stays open in its slot.
            flow: ``(segments,)`` states, changed in place.
        """
        kept = np.flatnonzero(plan.open_piece & staying[pieces.segment])
        segment, time = pieces.segment[kept], pieces.time[kept]
        plane = pieces.number[kept] % self._n
        cell = plane * self._slots + slots[segment]
        self._planes[cell] = pieces.packets.view(self._octets)[kept]
        begun = np.flatnonzero(plane == 0)
        flow["sequence_start_ns"][segment[begun]] = time[begun]
        # of several packets of a segment the last assignment stays, which is the latest packet
        flow["sequence_last_ns"][segment] = time

    @hop("emit")
    def rows(
        self,
        plan: RowPlan,
        flow: NDArray[np.void],
        origin: NDArray[np.void],
        slots: NDArray[np.int32],
        pieces: Pieces,
    ) -> SequenceBatch:
        """Fills the rows of a plan.

        Args:
            plan: of the block.
            flow: ``(segments,)`` states before the block.
            origin: ``(rows,)`` origins (`sensor.flows.state.ORIGIN`) of the rows' flows.
            slots: ``(segments,)``.
            pieces: of the block.
        """
        rows, n = plan.segment.size, self._n
        # packets that the store holds, and further ones of the block; where they go in the rows
        row, step = _spread(plan.carry)
        held = self._planes[step * self._slots + slots[plan.segment[row]]]
        cell = row * n + step
        row, step = _spread(plan.count)
        further = pieces.packets.view(self._octets)[plan.begin[row] + step]
        cell = np.concatenate((cell, row * n + plan.carry[row] + step))
        packets = np.concatenate((held, further)).view(self.packet)
        columns: dict[str, Any] = {
            name: np.zeros((rows, 0), dtype)
            for name, dtype in ROW_TYPES.items()
            if name not in (self.packet.names or ())
        }
        for name in self.packet.names or ():
            columns[name] = np.zeros((rows, n), self.packet[name])
            columns[name].reshape(-1)[cell] = packets[name]
        first = flow["sequence_start_ns"][plan.segment]
        last = flow["sequence_last_ns"][plan.segment]
        here = np.flatnonzero(plan.carry == 0)
        first[here] = pieces.time[plan.begin[here]]
        here = np.flatnonzero(plan.count)
        last[here] = pieces.time[(plan.begin + plan.count)[here] - 1]
        length = plan.carry + plan.count
        return SequenceBatch(
            **columns,
            **{name: origin[name].copy() for name in INHERITED},
            kind=np.zeros(rows, np.uint8),
            length=length.astype(np.uint16),
            flow_ordinal=flow["ordinal"][plan.segment],
            row=plan.number.astype(np.int32),
            sequence_index=plan.index.astype(np.int32),
            end_reason=plan.reason,
            decided_ns=plan.decided,
            flow_start_ns=origin["start_ns"].copy(),
            first_packet_ns=first,
            last_packet_ns=last,
            flow_packets=plan.index * n + length,
        )


def _spread(counts: Index) -> tuple[Index, Index]:
    """Each row as often as its count says, and numbers from 0 within each row."""
    row = np.repeat(np.arange(counts.size), counts)
    return row, np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)
