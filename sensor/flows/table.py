"""The flow table: columns of headers in, rows of packets out.

A fixed number of slots, each with the state of one flow and the packets of its open sequence.
A block is cut into segments (`segments`), each the part of one flow that lies in it; what a flow
has to say by the end of the block follows from its state and its segment, for all flows at once.
Every rule is in `docs/semantics.md`; time there is the flow clock, so block sizes don't matter.
"""

from collections.abc import Iterator
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from sensor.flows import segments as cutting
from sensor.flows.context import ContextWindows
from sensor.flows.index import FIRST_SLOT, KeyIndex
from sensor.flows.key import KEY_WORDS, five_tuple
from sensor.flows.rows import FOREVER, Ends, PacketStore, Pieces, RowPlan, plan_rows
from sensor.flows.segments import CLOSED, Segments
from sensor.flows.sequences import END_REASONS, SequenceBatch
from sensor.flows.state import FLOW, put, take
from sensor.model.schema import FeatureSchema
from sensor.packets.headers import ACK, SYN, TCP, Headers

DEFAULT_SLOTS = 65_536
EVICTION_PACKETS = 16_384
"""Room is made at every multiple of this many packets of the stream, and for as many flows."""
FINISHED_FLOWS = 8_192
"""Flows whose rows are made at once at the end of a stream; all of them would be tens of MB."""

Index = NDArray[np.int64]


class FlowTable:
    """Assembles packets into flows and flows into rows.

    Attributes:
        clock_ns: time before which everything has been decided and released.
        flows: flows that have begun so far.
        evicted: flows that were evicted so far.
        skipped: full sequences that were not emitted because of `repeat_all`.
        late: packets older than the clock to which silence had advanced the table.
        trailing: packets of flows that had closed.
    """

    def __init__(self, schema: FeatureSchema, slots: int = DEFAULT_SLOTS) -> None:
        """Makes an empty table.

        Args:
            schema: sequence length, policies, timeouts; without context fields, none are counted.
            slots: flows that are held at once, at least 65,536.
        """
        if slots < DEFAULT_SLOTS:
            raise ValueError(f"a flow table has at least {DEFAULT_SLOTS:,} slots")
        self.schema = schema
        self.clock_ns = 0
        self.flows = self.evicted = self.skipped = self.late = self.trailing = 0
        self._slots = slots
        self._packets = 0
        self._ticked_ns = 0
        self._idle_ns = schema.idle_timeout_ms * 1_000_000
        self._decide_ns = schema.decide_after_ms * 1_000_000
        size = slots + FIRST_SLOT
        self._index = KeyIndex(slots, KEY_WORDS)
        self._context = ContextWindows() if schema.context else None
        self._flow = np.zeros(size, FLOW)
        self._live = np.zeros(size, np.bool_)
        self._last_clock = np.zeros(size, np.int64)
        # when something of the flow is due: its early row, else its end by silence
        self._due = np.full(size, FOREVER, np.int64)
        self._closing = np.zeros(size, np.uint8)
        # what eviction asks of every flow, apart from the records that would have to be fetched
        self._ordinal = np.zeros(size, np.int64)
        self._probation = np.zeros(size, np.bool_)
        self._touched = np.zeros(size, np.bool_)
        self._scratch = np.zeros(size, np.uint16)
        self._store = PacketStore(schema.n, size)
        self._none = self._pending = SequenceBatch.empty(schema.n)

    def add(self, headers: Headers, clock_ns: int = 0) -> SequenceBatch:
        """Takes a block of packets and returns the rows that are decided.

        Args:
            headers: decoded packets, in the order of the capture.
            clock_ns: lower bound of the clock afterwards, for a silent live link; else 0.
        """
        released = []
        done = 0
        while done < len(headers):
            count = self._piece_size(len(headers) - done)
            released.append(self._add(headers, slice(done, done + count)))
            done += count
            self._packets += count
            if self._packets % EVICTION_PACKETS == 0 and self._index.free < EVICTION_PACKETS:
                released.append(self._evict())
        if clock_ns > self.clock_ns:
            self._ticked_ns = clock_ns
            released.append(self._advance(clock_ns))
        return SequenceBatch.concatenate(released) if released else self._none

    def finish(self) -> Iterator[SequenceBatch]:
        """The rows that are left, in batches; the stream's end is silence without end."""
        while (due := self._due[self._due < FOREVER]).size > FINISHED_FLOWS:
            yield self._advance(int(np.partition(due, FINISHED_FLOWS)[FINISHED_FLOWS]) + 1)
        yield self._advance(FOREVER)

    def _piece_size(self, remaining: int) -> int:
        """Packets that can be taken at once without missing an eviction."""
        remaining = min(remaining, 4 * EVICTION_PACKETS)
        if self._index.free - remaining >= EVICTION_PACKETS:
            return remaining
        return min(remaining, EVICTION_PACKETS - self._packets % EVICTION_PACKETS)

    # ------------------------------------------------------------------ packets

    def _add(self, headers: Headers, part: slice) -> SequenceBatch:
        headers = Headers(*(getattr(headers, column.name)[part] for column in fields(headers)))
        time = headers.timestamp_ns
        self.late += int(np.count_nonzero(time < self._ticked_ns))
        clock = np.maximum.accumulate(np.maximum(time, self.clock_ns))
        now = int(clock[-1])
        words, from_lower = five_tuple(headers)
        slot, _ = self._index.find(words, headers.version == 6)
        order = cutting.group(slot, self._scratch)
        sorted_clock = clock[order]
        segments = cutting.cut(
            order,
            slot[order],
            sorted_clock,
            headers.tcp_flags[order],
            from_lower[order],
            self._live,
            self._last_clock,
            self._closing,
            self._idle_ns,
        )
        replaced = self._replaced(segments, now)
        flow = self._open(segments, headers, clock, from_lower)
        pieces = self._number(segments, flow, headers, from_lower, sorted_clock)
        self._touched[segments.slot] = True
        due = np.flatnonzero((self._due < now) & ~self._touched).astype(np.int32)
        self._touched[segments.slot] = False

        last_clock = sorted_clock[segments.stop - 1]
        # a later segment of the slot stands for the silence (or the SYN) that ended this one
        ended = ~segments.final | (last_clock + self._idle_ns < now)
        ends = self._ends(segments, sorted_clock, last_clock, ended)
        plan = plan_rows(self.schema, flow, pieces, ends, now)
        self.skipped += plan.skipped
        rows = self._store.rows(plan, flow, segments.slot, pieces)
        self._close_books(segments, flow, pieces, plan, last_clock, ended)
        return self._release([replaced, rows, self._fall_due(due, now)], now)

    def _replaced(self, segments: Segments, now: int) -> SequenceBatch:
        """Last rows of flows that ended silently and whose slot's next packet begins another."""
        first = np.append(True, segments.final[:-1])
        slots = segments.slot[first & segments.fresh & self._live[segments.slot]]
        slots = slots[(self._closing[slots] & CLOSED) == 0]
        silent = self._last_clock[slots] + self._idle_ns
        ends = Ends(silent, np.full(slots.size, _reason("idle"), np.uint8))
        return self._end(slots, ends, now)

    def _open(
        self,
        segments: Segments,
        headers: Headers,
        clock: Index,
        from_lower: NDArray[np.bool_],
    ) -> NDArray[np.void]:
        """States of the segments' flows as they were before the block; fresh ones are made."""
        flow = take(self._flow, segments.slot)
        fresh = np.flatnonzero(segments.fresh)
        if not fresh.size:
            return flow
        first = segments.order[segments.start[fresh]]
        by_first = np.argsort(first, kind="stable")
        fresh, first = fresh[by_first], first[by_first]
        state = np.zeros(fresh.size, FLOW)
        state["ordinal"] = self.flows + np.arange(fresh.size)
        self.flows += fresh.size
        state["start_ns"] = state["last_ns"] = headers.timestamp_ns[first]
        state["early_ns"] = clock[first] + self._decide_ns
        flags = headers.tcp_flags[first]
        looped = headers.source_port[first] == headers.destination_port[first]
        looped &= headers.source_low[first] == headers.destination_low[first]
        looped &= headers.source_high[first] == headers.destination_high[first]
        answer = ((flags & (SYN | ACK)) == (SYN | ACK)) & ~looped
        state["midstream"] = (headers.protocol[first] == TCP) & ((flags & SYN) == 0)
        state["originator_lower"] = from_lower[first] ^ answer
        for part in ("high", "low", "port"):
            source = getattr(headers, f"source_{part}")[first]
            destination = getattr(headers, f"destination_{part}")[first]
            state[f"source_{part}"] = np.where(answer, destination, source)
            state[f"destination_{part}"] = np.where(answer, source, destination)
        state["version"] = headers.version[first]
        state["protocol"] = headers.protocol[first]
        if self._context is not None:
            state["context"], state["context_saturated"] = self._context.add(
                clock[first], _scopes(state)
            )
        put(flow, fresh, state)
        return flow

    def _ends(
        self, segments: Segments, clock: Index, last_clock: Index, ended: NDArray[np.bool_]
    ) -> Ends:
        closing = segments.closing
        closed = closing < clock.size
        end = np.where(ended, last_clock + self._idle_ns, FOREVER)
        end = np.where(closed, clock[np.minimum(closing, clock.size - 1)], end)
        end[closing < 0] = FOREVER
        return Ends(end, np.where(closed, _reason("closed"), _reason("idle")).astype(np.uint8))

    def _number(
        self,
        segments: Segments,
        flow: NDArray[np.void],
        headers: Headers,
        from_lower: NDArray[np.bool_],
        clock: Index,
    ) -> Pieces:
        """Numbers the packets of each flow and works out their fields."""
        order, of_packet = segments.order, segments.of_packet
        packets = order.size
        position = np.arange(packets)
        counted = position <= segments.closing[of_packet]
        self.trailing += packets - int(np.count_nonzero(counted))
        time = headers.timestamp_ns[order]
        gap = np.empty(packets, np.int64)
        gap[1:] = time[1:] - time[:-1]
        gap[segments.start] = time[segments.start] - flow["last_ns"]
        last = np.maximum(time[segments.stop - 1], flow["last_ns"])
        for segment in np.unique(of_packet[gap < 0]).tolist():
            # packets out of order: the time since the flow's latest packet so far
            part = slice(int(segments.start[segment]), int(segments.stop[segment]))
            latest = np.maximum.accumulate(np.append(flow["last_ns"][segment], time[part]))
            gap[part] = time[part] - latest[:-1]
            last[segment] = latest[-1]
        flow["last_ns"] = last
        outward = from_lower[order] == flow["originator_lower"][of_packet]
        for bit, side in enumerate((outward, ~outward)):
            seen = np.logical_or.reduceat(side & counted, segments.start)
            flow["seen"] |= seen.astype(np.uint8) << bit
        number = position + (flow["packets"] - segments.start)[of_packet]
        keep = slice(None) if counted.all() else np.flatnonzero(counted)
        chosen = order[keep]
        return Pieces(
            segment=of_packet[keep],
            number=number[keep],
            clock=clock[keep],
            time=time[keep],
            ip_length=headers.ip_length[chosen],
            payload_length=headers.payload_length[chosen],
            interarrival_us=np.clip(gap[keep] // 1_000, 0, 60_000_000).astype(np.uint32),
            direction=np.where(outward[keep], 1, -1).astype(np.int8),
            tcp_flags=headers.tcp_flags[chosen],
        )

    def _close_books(
        self,
        segments: Segments,
        flow: NDArray[np.void],
        pieces: Pieces,
        plan: RowPlan,
        last_clock: Index,
        ended: NDArray[np.bool_],
    ) -> None:
        """Writes the states after the block back, and frees the slots of ended flows."""
        flow["packets"] += plan.packets
        flow["rows"] += plan.rows
        flow["early_ns"] = plan.early_ns
        flow["early_length"] = plan.early_length
        staying = segments.final & ~ended
        open_ = staying & ((segments.closed_bits & CLOSED) == 0)
        self._store.keep(plan, pieces, segments.slot, open_, flow)
        slots = segments.slot[staying]
        put(self._flow, slots, take(flow, np.flatnonzero(staying)))
        self._closing[slots] = segments.closed_bits[staying]
        self._last_clock[slots] = last_clock[staying]
        self._live[slots] = True
        self._ordinal[slots] = flow["ordinal"][staying]
        probation = (flow["seen"] != 3) | (flow["packets"] <= 2)
        probation |= (segments.closed_bits & CLOSED) != 0
        self._probation[slots] = probation[staying]
        self._due[slots] = np.minimum(
            flow["early_ns"][staying], last_clock[staying] + self._idle_ns
        )
        self._free(segments.slot[segments.final & ended])

    def _free(self, slots: NDArray[np.int32]) -> None:
        self._index.delete(slots)
        self._live[slots] = False
        self._closing[slots] = 0
        self._due[slots] = FOREVER

    # ------------------------------------------------------------------ deadlines

    def _advance(self, now: int) -> SequenceBatch:
        due = np.flatnonzero(self._due < now).astype(np.int32)
        return self._release([self._fall_due(due, now)], now)

    def _fall_due(self, slots: NDArray[np.int32], now: int) -> SequenceBatch:
        """Early rows and ends of flows without a packet in this block."""
        # by ordinal, which is the order of early rows: a flood's need not be sorted then
        slots = slots[np.argsort(self._ordinal[slots])]
        silent = self._last_clock[slots] + self._idle_ns
        ended = silent < now
        ends = Ends(
            clock=np.where(ended & ((self._closing[slots] & CLOSED) == 0), silent, FOREVER),
            reason=np.full(slots.size, _reason("idle"), np.uint8),
        )
        rows = self._end(slots, ends, now)
        self._free(slots[ended])
        rest = slots[~ended]
        self._due[rest] = np.minimum(self._flow["early_ns"][rest], silent[~ended])
        return rows

    def _end(self, slots: NDArray[np.int32], ends: Ends, now: int) -> SequenceBatch:
        if not slots.size:
            return self._none
        flow = take(self._flow, slots)
        pieces = Pieces.none()
        plan = plan_rows(self.schema, flow, pieces, ends, now)
        rows = self._store.rows(plan, flow, slots, pieces)
        flow["rows"] += plan.rows
        flow["early_ns"] = plan.early_ns
        flow["early_length"] = plan.early_length
        put(self._flow, slots, flow)
        return rows

    def _evict(self) -> SequenceBatch:
        """Frees a quarter of the slots: flows on probation first, then the most silent ones."""
        needed = self._slots // 4 - self._index.free
        young = np.flatnonzero(self._live & self._probation)
        if young.size > needed:
            chosen = young[np.argpartition(self._ordinal[young], needed)[:needed]]
        else:
            live = np.flatnonzero(self._live)
            keys = (self._ordinal[live], self._last_clock[live], ~self._probation[live])
            chosen = live[np.lexsort(keys)[:needed]]
        slots = chosen[np.argsort(self._ordinal[chosen])].astype(np.int32)
        open_ = (self._closing[slots] & CLOSED) == 0
        ends = Ends(
            clock=np.where(open_, self.clock_ns, FOREVER),
            reason=np.full(slots.size, _reason("evicted"), np.uint8),
        )
        rows = self._end(slots, ends, self.clock_ns)
        self._free(slots)
        self.evicted += slots.size
        return self._release([rows], self.clock_ns)

    def _release(self, rows: list[SequenceBatch], now: int) -> SequenceBatch:
        """Rows decided before now, in order; the others wait, as more may be decided with them."""
        self.clock_ns = now
        some = [batch for batch in (self._pending, *rows) if len(batch)]
        if not some:
            return self._none
        batch = SequenceBatch.concatenate(some)
        ordered = np.lexsort((batch.row, batch.flow_ordinal, batch.decided_ns))
        ready = int(np.searchsorted(batch.decided_ns[ordered], now))
        self._pending = batch.take(ordered[ready:])
        if ready == len(batch) and (ordered[1:] > ordered[:-1]).all():
            return batch
        return batch.take(ordered[:ready])


def _reason(name: str) -> int:
    return END_REASONS.index(name)


def _scopes(
    state: NDArray[np.void],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Keys of service, source and destination: low word, tag, high word of the address."""
    version = state["version"].astype(np.uint64) << np.uint64(32)
    service = state["destination_port"].astype(np.uint64) | version
    service |= state["protocol"].astype(np.uint64) << np.uint64(16)
    destination = (state["destination_low"], state["destination_high"])
    return (
        np.stack((destination[0], service, destination[1])),
        np.stack((state["source_low"], version, state["source_high"])),
        np.stack((destination[0], version, destination[1])),
    )
