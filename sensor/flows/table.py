"""The flow table: columns of headers in, rows of packets out.

A fixed number of slots (`slots`), each with the state of one flow and the packets of its open
sequence. A block is cut into segments (`segments`), each the part of one flow that lies in it;
what a flow has to say by the end of the block follows from its state and its segment, for all
flows at once. Every rule is in `docs/semantics.md`; time there is the flow clock, so block sizes
don't matter.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sensor.flows.context import ContextWindows
from sensor.flows.conversations import Conversations, OfConversations
from sensor.flows.endings import Endings, in_order
from sensor.flows.ends import NO_ENDS, FlowEnds
from sensor.flows.epochs import part_of
from sensor.flows.keying import FiveTuple, Keyed, Keying
from sensor.flows.rows import Ends, PacketStore, Pieces, RowPlan, plan_rows, unwanted
from sensor.flows.segments import CLOSED, Segments
from sensor.flows.sequences import END_REASONS, SequenceBatch
from sensor.flows.slots import DEFAULT_SLOTS, FOREVER, FlowSlots
from sensor.flows.state import FLOW, ORIGIN, put, take
from sensor.hops import hop
from sensor.model.schema import FeatureSchema
from sensor.packets.headers import Headers

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
        clock_steps: how often the stream began anew, as its clock was set back.
        ambiguous, unknown: nothing, as nothing is measured.
    """

    ambiguous = unknown = 0

    def __init__(
        self, schema: FeatureSchema, slots: int = DEFAULT_SLOTS, *, ends: bool = False
    ) -> None:
        """Makes an empty table.

        Args:
            schema: sequence length, key, policies, timeouts; without context fields, none are
                counted, and optional fields are kept if it has them (then the decoder has to have
                been asked for them).
            slots: flows that are held at once, at least 65,536; as many conversations are held
                beside them where the key gathers several.
            ends: whether to count what all packets of flows come to, for `take_ends`.
        """
        self.schema = schema
        self.clock_ns = 0
        self.flows = self.evicted = self.skipped = self.late = self.trailing = 0
        self.clock_steps = 0
        self._ticked_ns = 0
        self._idle_ns = schema.idle_timeout_ms * 1_000_000
        self._decide_ns = schema.decide_after_ms * 1_000_000
        self._keying = _keying(schema, slots, self._idle_ns)
        self._slots = FlowSlots(slots, self._keying.words, self._idle_ns)
        self._flow = np.zeros(self._slots.size, FLOW)
        self._origin = np.zeros(self._slots.size, ORIGIN)
        self._optional = schema.optional
        self._store = PacketStore(schema.n, self._slots.size, self._optional)
        self._none = self._pending = SequenceBatch.empty(schema.n, self._optional)
        self._endings: Endings | None = None
        if ends:
            self.keep_ends()

    @property
    def keeps_ends(self) -> bool:
        """Whether `take_ends` gives any."""
        return self._endings is not None

    @property
    def active(self) -> int:
        """Flows that are held now, those included that have closed and may get trailing packets."""
        return self._slots.taken

    @property
    def capacity(self) -> int:
        """Flows that can be held."""
        return self._slots.capacity

    @property
    def conversations_evicted(self) -> int:
        """Conversations that were evicted so far; of a five-tuple's table none, as it has none."""
        return self._keying.conversations_evicted

    @hop("table")
    def add(self, headers: Headers, clock_ns: int = 0) -> SequenceBatch:
        """Takes a block of packets and returns the rows that are decided.

        Args:
            headers: decoded packets, in the order of the capture.
            clock_ns: lower bound of the clock afterwards, for a silent live link; else 0.
        """
        released = []
        done = 0
        while done < len(headers):
            count = self._slots.piece_size(len(headers) - done)
            released.append(self._add(part_of(headers, slice(done, done + count))))
            done += count
            if self._slots.crowded(count):
                released.append(self._evict())
        if clock_ns > self.clock_ns:
            self._ticked_ns = clock_ns
            released.append(self._advance(clock_ns))
        return SequenceBatch.concatenate(released) if released else self._none

    def keep_ends(self) -> None:
        """Counts what all packets of flows come to from now on, for `take_ends`.

        Of flows that have begun before only the packets from now on are counted, and they are not
        whole.
        """
        if not self._endings:
            self._endings = Endings(self._slots.size, self.flows)

    def take_ends(self) -> FlowEnds:
        """Flows that have ended, of what was decided since this was last asked.

        To be asked after every batch of rows where they are kept, as they wait here.
        """
        return self._endings.take() if self._endings else NO_ENDS

    def finish(self) -> Iterator[SequenceBatch]:
        """The rows that are left, in batches; the stream's end is silence without end."""
        if self._endings:
            self._endings.heard = False
        while (due := self._slots.due[self._slots.due < FOREVER]).size > FINISHED_FLOWS:
            yield self._advance(int(np.partition(due, FINISHED_FLOWS)[FINISHED_FLOWS]) + 1)
        yield self._advance(FOREVER)

    def restart(self) -> None:
        """Begins another stream after `finish`, as its clock was set back; counts go on."""
        self.clock_steps += 1
        self.clock_ns = self._ticked_ns = 0
        self._slots.restart()
        self._keying.restart()
        if self._endings:
            self._endings.heard = True

    # ------------------------------------------------------------------ packets

    def _add(self, headers: Headers) -> SequenceBatch:
        time = headers.timestamp_ns
        self.late += int(np.count_nonzero(time < self._ticked_ns))
        clock = np.maximum.accumulate(np.maximum(time, self.clock_ns))
        now = int(clock[-1])
        keyed = self._keying.take(headers, clock)
        segments, sorted_clock = self._slots.cut(
            keyed.words, keyed.long, clock, keyed.flags, keyed.forward
        )
        replaced = self._replaced(segments, now)
        flow, begun, origin = self._open(segments, keyed, time, clock)
        outward = keyed.forward[segments.order] == flow["owner_forward"][segments.of_packet]
        pieces = self._number(segments, flow, headers, outward, sorted_clock)
        due = self._slots.due_elsewhere(segments, now)

        last_clock = sorted_clock[segments.stop - 1]
        # a later segment of the slot stands for the silence (or the SYN) that ended this one
        ended = ~segments.final | (last_clock + self._idle_ns < now)
        ends = self._ends(segments, sorted_clock, last_clock, ended)
        plan = plan_rows(self.schema, flow, pieces, ends, now)
        of_rows = self._origins(plan.segment, segments, begun, origin)
        rows = self._store.rows(plan, flow, of_rows, segments.slot, pieces)
        if self._endings:
            totals = self._endings.count(segments, headers.ip_length, outward, pieces.gained)
            over = ends.over()
            of_ends = self._origins(over, segments, begun, origin)
            self._endings.add(ends.take(over), take(flow, over), of_ends, take(totals, over))
        # of a slot's flows only the last one stays, and only its origin is asked for again
        last = np.flatnonzero(segments.final[begun])
        put(self._origin, segments.slot[begun[last]], take(origin, last))
        self._close_books(segments, flow, pieces, plan, last_clock, ended)
        return self._release([replaced, rows, self._fall_due(due, now)], now)

    def _replaced(self, segments: Segments, now: int) -> SequenceBatch:
        """Last rows of flows that ended silently and whose slot's next packet begins another."""
        first = np.append(True, segments.final[:-1])
        slots = segments.slot[first & segments.fresh & self._slots.live[segments.slot]]
        slots = slots[self._slots.open(slots)]
        silent = self._slots.last_clock[slots] + self._idle_ns
        ends = Ends(silent, np.full(slots.size, _reason("idle"), np.uint8))
        return self._end(slots, ends, now)

    def _open(
        self, segments: Segments, keyed: Keyed, time: Index, clock: Index
    ) -> tuple[NDArray[np.void], Index, NDArray[np.void]]:
        """States of the segments' flows as they were before the block; fresh ones are made.

        Returns:
            The states, the segments with which flows begin, and the origins of these.
        """
        flow = np.zeros(segments.slot.size, FLOW)
        known = np.flatnonzero(~segments.fresh)
        put(flow, known, take(self._flow, segments.slot[known]))
        fresh, first = segments.beginnings()
        state, origin = np.zeros(fresh.size, FLOW), np.zeros(fresh.size, ORIGIN)
        if fresh.size:
            state["ordinal"] = self.flows + np.arange(fresh.size)
            self.flows += fresh.size
            state["last_ns"] = origin["start_ns"] = time[first]
            state["early_ns"] = clock[first] + self._decide_ns
            keyed.begin(first, state, origin)
            put(flow, fresh, state)
        return flow, fresh, origin

    def _origins(
        self, of_rows: Index, segments: Segments, begun: Index, origin: NDArray[np.void]
    ) -> NDArray[np.void]:
        """Origins of the flows of the given segments, some of which have begun in the block."""
        origins = take(self._origin, segments.slot[of_rows])
        if begun.size:
            place = np.full(segments.slot.size, -1)
            place[begun] = np.arange(begun.size)
            fresh = np.flatnonzero(place[of_rows] >= 0)
            put(origins, fresh, take(origin, place[of_rows[fresh]]))
        return origins

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
        outward: NDArray[np.bool_],
        clock: Index,
    ) -> Pieces:
        """Numbers the packets of each flow and works out their fields."""
        order, of_packet = segments.order, segments.of_packet
        counted, gained = segments.counted(), segments.gained()
        self.trailing += order.size - int(gained.sum())
        time = headers.timestamp_ns[order]
        gap = np.empty(order.size, np.int64)
        gap[1:] = time[1:] - time[:-1]
        gap[segments.start] = time[segments.start] - flow["last_ns"]
        # (nobody asks for that of a flow that had closed before the block)
        last = np.maximum(time[segments.start + np.maximum(gained, 1) - 1], flow["last_ns"])
        for segment in dict.fromkeys(of_packet[gap < 0].tolist()):
            # packets out of order: the time since the flow's latest packet so far
            part = slice(int(segments.start[segment]), int(segments.stop[segment]))
            latest = np.maximum.accumulate(np.append(flow["last_ns"][segment], time[part]))
            gap[part] = time[part] - latest[:-1]
            last[segment] = latest[gained[segment]]
        flow["last_ns"] = last
        flow["seen"] |= segments.sides(outward, counted)
        number = np.arange(order.size) + (flow["packets"] - segments.start)[of_packet]
        wanted, elsewhere = counted, unwanted(number, self.schema)
        if elsewhere.size:
            ending = number[elsewhere] % self.schema.n == self.schema.n - 1
            self.skipped += int(np.count_nonzero(ending & counted[elsewhere]))
            wanted = counted.copy()
            wanted[elsewhere] = False
        keep = slice(None) if wanted.all() else np.flatnonzero(wanted)
        chosen = order[keep]
        packets = np.empty(chosen.size, self._store.packet)
        packets["interarrival_us"] = np.clip(gap[keep] // 1_000, 0, 60_000_000)
        packets["direction"] = outward[keep].view(np.int8) * 2 - 1
        for name in ("ip_length", "payload_length", "tcp_flags", *self._optional):
            packets[name] = getattr(headers, name)[chosen]
        return Pieces(
            gained=gained,
            segment=of_packet[keep],
            number=number[keep],
            clock=clock[keep],
            time=time[keep],
            packets=packets,
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
        flow["packets"] += pieces.gained
        flow["rows"] += plan.rows
        flow["early_ns"] = plan.early_ns
        flow["early_length"] = plan.early_length
        staying = segments.final & ~ended
        open_ = staying & ((segments.closed_bits & CLOSED) == 0)
        self._store.keep(plan, pieces, segments.slot, open_, flow)
        put(self._flow, segments.slot[staying], take(flow, np.flatnonzero(staying)))
        due = np.minimum(flow["early_ns"], last_clock + self._idle_ns)
        self._slots.settle(segments, flow, last_clock, due, staying)

    # ------------------------------------------------------------------ deadlines

    @hop("table")
    def _advance(self, now: int) -> SequenceBatch:
        due = np.flatnonzero(self._slots.due < now).astype(np.int32)
        return self._release([self._fall_due(due, now)], now)

    def _fall_due(self, slots: NDArray[np.int32], now: int) -> SequenceBatch:
        """Early rows and ends of flows without a packet in this block."""
        # by ordinal, which is the order of early rows: a flood's need not be sorted then
        slots = slots[np.argsort(self._slots.ordinal[slots])]
        silent = self._slots.last_clock[slots] + self._idle_ns
        ended = silent < now
        ends = Ends(
            clock=np.where(ended & self._slots.open(slots), silent, FOREVER),
            reason=np.full(slots.size, _reason("idle"), np.uint8),
        )
        rows = self._end(slots, ends, now)
        self._slots.free(slots[ended])
        rest = np.flatnonzero(~ended)
        self._slots.due[slots[rest]] = np.minimum(self._flow["early_ns"][slots[rest]], silent[rest])
        return rows

    def _end(self, slots: NDArray[np.int32], ends: Ends, now: int) -> SequenceBatch:
        if not slots.size:
            return self._none
        flow = take(self._flow, slots)
        pieces = Pieces.none(slots.size, self._optional)
        plan = plan_rows(self.schema, flow, pieces, ends, now)
        origin = take(self._origin, slots[plan.segment])
        rows = self._store.rows(plan, flow, origin, slots, pieces)
        if self._endings:
            self._endings.add_of_slots(ends, flow, self._origin, slots)
        if (ends.clock == FOREVER).any():
            flow["rows"] += plan.rows
            flow["early_ns"] = plan.early_ns
            flow["early_length"] = plan.early_length
            put(self._flow, slots, flow)
        return rows

    def _evict(self) -> SequenceBatch:
        slots = self._slots.crowd()
        ends = Ends(
            clock=np.where(self._slots.open(slots), self.clock_ns, FOREVER),
            reason=np.full(slots.size, _reason("evicted"), np.uint8),
        )
        rows = self._end(slots, ends, self.clock_ns)
        self._slots.free(slots)
        self.evicted += slots.size
        return self._release([rows], self.clock_ns)

    @hop("emit")
    def _release(self, rows: list[SequenceBatch], now: int) -> SequenceBatch:
        """Rows decided before now, in order; the others wait, as more may be decided with them."""
        self.clock_ns = now
        if self._endings:
            self._endings.release(now)
        some = [batch for batch in (self._pending, *rows) if len(batch)]
        if not some:
            return self._none
        batch = SequenceBatch.concatenate(some)
        if not in_order(batch.decided_ns, batch.flow_ordinal):
            batch = batch.take(np.lexsort((batch.row, batch.flow_ordinal, batch.decided_ns)))
        ready = int(np.searchsorted(batch.decided_ns, now))
        # a view would hold on to the memory of the rows that are released
        self._pending = batch.take(np.arange(ready, len(batch)) if ready else slice(None))
        return batch.take(slice(ready))


def _keying(schema: FeatureSchema, slots: int, idle_ns: int) -> Keying:
    context = ContextWindows() if schema.context else None
    if schema.key == "five_tuple":
        return FiveTuple(context)
    return OfConversations(schema.key, Conversations(slots, idle_ns, context))


def _reason(name: str) -> int:
    return END_REASONS.index(name)
