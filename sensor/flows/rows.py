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

from sensor.flows.sequences import END_REASONS, SequenceBatch
from sensor.flows.slots import FOREVER
from sensor.flows.state import take
from sensor.model.schema import FeatureSchema
from sensor.packets.headers import OPTIONAL_TYPES

Index = NDArray[np.int64]

_TYPES: dict[str, type[np.generic]] = {
    "ip_length": np.uint16,
    "payload_length": np.uint16,
    "interarrival_us": np.uint32,
    "direction": np.int8,
    "tcp_flags": np.uint8,
}
"""Columns that the packets of every row have."""
_EARLY, _FULL, _IDLE = (END_REASONS.index(reason) for reason in ("early", "full", "idle"))


@dataclass(frozen=True, slots=True)
class Pieces:
    """The packets of a block that belong to flows, grouped by segment, in order within.

    Attributes:
        segment: ``(packets,)``.
        number: ``(packets,)`` number of the packet within its flow, from 0.
        clock: ``(packets,)`` flow clock at the packet.
        time: ``(packets,)`` its own time.
        columns: ``(packets,)`` each, what a row has of its packets: `ip_length`,
            `payload_length`, `interarrival_us`, `direction`, `tcp_flags`, and what the schema
            asks for besides.
    """

    segment: Index
    number: Index
    clock: Index
    time: Index
    columns: dict[str, NDArray[Any]]

    @classmethod
    def none(cls, optional: Collection[str] = ()) -> "Pieces":
        """No packets: what a deadline brings, for a schema's `optional`."""
        none = np.zeros(0, np.int64)
        columns = {name: np.zeros(0, dtype) for name, dtype in _types(optional).items()}
        return cls(none, none, none, none, columns)


def _types(optional: Collection[str]) -> dict[str, type[np.generic]]:
    return {**_TYPES, **{name: OPTIONAL_TYPES[name] for name in optional}}


@dataclass(frozen=True, slots=True)
class Ends:
    """How the flows of segments end: `clock` (`FOREVER`: not yet, or before) and `reason`."""

    clock: Index
    reason: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class RowPlan:
    """The rows of a block, and what becomes of its segments.

    A row holds `carry` packets from the store and then `count` pieces from `begin` on.

    Attributes:
        chosen: pieces that sequences want, as an index into `Pieces`; `begin` counts in them.
        segment, carry, begin, count, index, decided, reason, number: ``(rows,)``; `index` is the
            sequence index and `number` that of the row within its flow.
        packets, rows: ``(segments,)`` packets and rows that the flow has gained.
        early_ns, early_length: ``(segments,)`` state of the early row afterwards.
        open_piece: ``(chosen,)`` whether the piece's sequence is not full by the end.
        skipped: full sequences that are not emitted.
    """

    chosen: Index | slice
    segment: Index
    carry: Index
    begin: Index
    count: Index
    index: Index
    decided: Index
    reason: NDArray[np.uint8]
    number: Index
    packets: Index
    rows: Index
    early_ns: Index
    early_length: Index
    open_piece: NDArray[np.bool_]
    skipped: int


def _wanted(index: Index, schema: FeatureSchema) -> NDArray[np.bool_]:
    wanted: NDArray[np.bool_] = index == 0
    if "repeat" in schema.policies:
        wanted |= (index < schema.repeat_all) | ((index & (index - 1)) == 0)
    return wanted


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
    added = np.bincount(pieces.segment, minlength=segments)
    sequence = pieces.number // n
    wanted = _wanted(sequence, schema)
    skipped = int(np.count_nonzero(~wanted & (pieces.number % n == n - 1)))
    chosen = slice(None) if wanted.all() else np.flatnonzero(wanted)
    of_piece, number = pieces.segment[chosen], pieces.number[chosen]
    sequence, clock = sequence[chosen], pieces.clock[chosen]

    # instances: the part of one sequence that lies in the block
    new = np.empty(number.size, np.bool_)
    new[:1] = True
    new[1:] = (number[1:] % n == 0) | (of_piece[1:] != of_piece[:-1])
    begin = np.flatnonzero(new)
    count = np.diff(begin, append=number.size)
    carry = number[begin] % n
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
    index = np.concatenate((np.zeros(due.size, np.int64), sequence[begin[full]], last_index[last]))
    kind = np.ones(segment.size, np.int8)
    kind[: due.size] = 0
    ranked = np.lexsort((kind, index, segment))
    ranked_segment = segment[ranked]
    row_number = np.empty(segment.size, np.int64)
    row_number[ranked] = np.arange(segment.size) - np.searchsorted(ranked_segment, ranked_segment)
    return RowPlan(
        chosen=chosen,
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
        number=flow["rows"][segment] + row_number,
        packets=added,
        rows=np.bincount(segment, minlength=segments),
        early_ns=early_ns,
        early_length=early_length,
        open_piece=open_piece,
        skipped=skipped,
    )


class PacketStore:
    """Packets of open sequences, plane by plane: packet k of every slot lies together.

    So a flood of one-packet flows touches the first plane only.
    """

    def __init__(self, n: int, slots: int, optional: Collection[str] = ()) -> None:
        """Makes an empty store for a schema's n and `optional`."""
        self._n = n
        self._planes = {
            name: np.zeros((n, slots), dtype) for name, dtype in _types(optional).items()
        }

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
        segment = pieces.segment[plan.chosen]
        kept = np.flatnonzero(plan.open_piece & staying[segment])
        segment = segment[kept]
        plane = pieces.number[plan.chosen][kept] % self._n
        slot = slots[segment]
        for name, store in self._planes.items():
            store[plane, slot] = pieces.columns[name][plan.chosen][kept]
        time = pieces.time[plan.chosen][kept]
        begun = plane == 0
        flow["sequence_start_ns"][segment[begun]] = time[begun]
        # of several packets of a segment the last assignment stays, which is the latest packet
        flow["sequence_last_ns"][segment] = time

    def rows(
        self, plan: RowPlan, flow: NDArray[np.void], slots: NDArray[np.int32], pieces: Pieces
    ) -> SequenceBatch:
        """Fills the rows of a plan.

        Args:
            plan: of the block.
            flow: ``(segments,)`` states before the block.
            slots: ``(segments,)``.
            pieces: of the block.
        """
        rows, n = plan.segment.size, self._n
        state = take(flow, plan.segment)
        slot = slots[plan.segment]
        # where in the block each further packet comes from, and where in the row it goes
        row = np.repeat(np.arange(rows), plan.count)
        step = np.arange(row.size) - np.repeat(np.cumsum(plan.count) - plan.count, plan.count)
        source = plan.begin[row] + step
        cell = row * n + plan.carry[row] + step
        carried = [np.flatnonzero(plan.carry > k) for k in range(int(plan.carry.max(initial=0)))]
        packets: dict[str, Any] = {
            name: np.zeros((rows, 0), dtype)
            for name, dtype in OPTIONAL_TYPES.items()
            if name not in self._planes
        }
        for name, store in self._planes.items():
            column = np.zeros((rows, n), store.dtype)
            for k, held in enumerate(carried):
                column[held, k] = store[k, slot[held]]
            column.reshape(-1)[cell] = pieces.columns[name][plan.chosen][source]
            packets[name] = column
        time = pieces.time[plan.chosen]
        first, last = state["sequence_start_ns"].copy(), state["sequence_last_ns"].copy()
        here = plan.carry == 0
        first[here] = time[plan.begin[here]]
        here = plan.count > 0
        last[here] = time[(plan.begin + plan.count - 1)[here]]
        length = plan.carry + plan.count
        copied: tuple[str, ...] = (
            "context",
            "context_saturated",
            "midstream",
            "version",
            "protocol",
        )
        copied += ("source_high", "source_low", "destination_high", "destination_low")
        copied += ("source_port", "destination_port")
        return SequenceBatch(
            **packets,
            **{name: state[name].copy() for name in copied},
            length=length.astype(np.uint16),
            flow_ordinal=state["ordinal"].copy(),
            row=plan.number.astype(np.int32),
            sequence_index=plan.index.astype(np.int32),
            end_reason=plan.reason,
            decided_ns=plan.decided,
            flow_start_ns=state["start_ns"].copy(),
            first_packet_ns=first,
            last_packet_ns=last,
            flow_packets=plan.index * n + length,
        )
