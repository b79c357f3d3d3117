"""A plain second implementation of `docs/semantics.md`: one packet, one dictionary at a time.

The vectorized decoder and flow table are held against this. It imports the feature schema (the
numbers of the rules) and nothing else of the sensor, has no arrays and no blocks, and follows the
order of the written rules, so that it can be read beside them: frames in `reference_decode`,
conversations in `reference_flows`, sequences and rows here. `tests/sensor/test_reference.py`
holds it against hand-worked cases.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, NamedTuple

from reference_capture import read_capture, read_pcap
from reference_decode import OFFLOAD_BYTES, STEP_NS, Frame, Packet, ReferenceDecoder
from reference_flows import Conversation, Conversations, Entry, Part, Slots

from sensor.model.schema import FeatureSchema

__all__ = [
    "End",
    "Frame",
    "Packet",
    "ReferenceTable",
    "Row",
    "ends_of",
    "read_capture",
    "read_pcap",
    "reference_rows",
    "refusals",
    "rows_of",
]

FOREVER_NS = 1 << 80
STEP_PACKETS = 64
KEYS = ("five_tuple", "service", "source", "host_pair")
END_REASONS = ("full", "early", "closed", "idle", "evicted")
PACKET_COLUMNS = (
    "ip_length",
    "payload_length",
    "interarrival_us",
    "direction",
    "tcp_flags",
    "ttl",
    "tcp_window",
)

MEASURED_COLUMNS = ("rtt", "rtt_gap", "answered", "rtt_usual")
"""What rows of packets don't have."""


@dataclass
class Row:
    """A row of a `SequenceBatch` in Python's own integers; lists hold `length` entries.

    `ttl` and `tcp_window` are empty where the schema has no such field.
    """

    ip_length: list[int]
    payload_length: list[int]
    interarrival_us: list[int]
    direction: list[int]
    tcp_flags: list[int]
    ttl: list[int]
    tcp_window: list[int]
    length: int
    context: list[int]
    context_saturated: bool
    flow_ordinal: int
    row: int
    sequence_index: int
    end_reason: str
    decided_ns: int
    flow_start_ns: int
    first_packet_ns: int
    last_packet_ns: int
    flow_packets: int
    midstream: bool
    version: int
    protocol: int
    source: int
    destination: int
    source_port: int
    destination_port: int

    @property
    def offloaded(self) -> bool:
        """Rule 26: a packet of the row is longer than Ethernet carries."""
        return max(self.ip_length) > OFFLOAD_BYTES


@dataclass
class End:
    """A flow of `FlowEnds` in Python's own integers."""

    flow_ordinal: int
    start_ns: int
    last_ns: int
    ended_ns: int
    end_reason: str
    whole: bool
    packets: list[int]
    octets: list[int]
    midstream: bool
    version: int
    protocol: int
    source: int
    destination: int
    source_port: int
    destination_port: int


class Item(NamedTuple):
    """What a sequence keeps of a packet."""

    time_ns: int
    ip_length: int
    payload_length: int
    interarrival_us: int
    direction: int
    tcp_flags: int
    ttl: int
    tcp_window: int


@dataclass(kw_only=True)
class Flow(Entry):
    """A flow of the schema's key; `owner` and `peer` as a row has them."""

    owner: tuple[int, int]
    peer: tuple[int, int]
    protocol: int
    conversation: Conversation
    start_ns: int
    early_deadline: int
    greatest_ns: int
    index: int = 0
    early: int = 0
    rows: int = 0
    sequence: list[Item] = field(default_factory=list)
    sizes: dict[int, list[int]] = field(default_factory=lambda: {1: [], -1: []})


class ReferenceTable:
    """Rules 1 to 9; `evict_every` and `memory` are smaller in tests than in the rules.

    Attributes:
        clock: flow clock of the stream.
        clock_steps: streams that ended because the clock was set back.
        rows: that were decided in the stream so far.
        ends: of flows in the stream so far; of all streams, in order, after `finish`.
        flows: that occupy a slot.
        skipped: full sequences that the schema leaves out.
    """

    def __init__(
        self,
        schema: FeatureSchema,
        slots: int = 65_536,
        evict_every: int = 16_384,
        memory: int = 65_536,
    ) -> None:
        self.schema = schema
        self.slots, self.evict_every, self.memory = slots, evict_every, memory
        self.skipped = self.clock_steps = 0
        self._begun = 0
        self._finished: list[Row] = []
        self._finished_ends: list[End] = []
        self._start_stream()

    def _start_stream(self) -> None:
        self.clock = self.decoded = self._behind = 0
        self.rows: list[Row] = []
        self.ends: list[End] = []
        idle_ns = self.schema.idle_timeout_ms * 1_000_000
        limits = (self.slots, self.evict_every, idle_ns)
        self.flows = Slots(*limits)
        self.conversations = Conversations(Slots(*limits), self.memory)
        self._early: list[tuple[int, int, Flow]] = []

    def tick(self, clock: int) -> None:
        """Advances the flow clock and fires what has passed (rules 1 and 2)."""
        self.clock = max(self.clock, clock)
        self.conversations.slots.idle(self.clock)
        for deadline, flow in self.flows.idle(self.clock):
            if flow.early_deadline <= deadline:
                self._emit_early(flow)
            self._end(flow, "idle", deadline)
        while self._early and self._early[0][0] < self.clock:
            *_, flow = heappop(self._early)
            if self.flows.entries.get(flow.key) is flow:
                self._emit_early(flow)

    def packet(self, time_ns: int, packet: Packet) -> None:
        """One packet: advance the clock, fire, handle, perhaps evict."""
        self._behind = self._behind + 1 if time_ns < self.clock - STEP_NS else 0
        if self._behind == STEP_PACKETS:
            self._finish_stream()
            self._start_stream()
            self.clock_steps += 1
        self.tick(time_ns)
        self._handle(time_ns, packet)
        self.decoded += 1
        if self.decoded % self.evict_every == 0:
            self.conversations.slots.evict()
            for flow in self.flows.evict():
                self._end(flow, "evicted", self.clock)

    def finish(self) -> list[Row]:
        """Silence without end (rule 2), then all rows in release order, stream by stream."""
        self._finish_stream()
        self.ends = self._finished_ends
        return self._finished

    def _finish_stream(self) -> None:
        heard_ns = self.clock
        self.tick(FOREVER_NS)
        for end in self.ends:
            silent = end.end_reason == "idle" and end.ended_ns < heard_ns
            end.whole = not end.midstream and (silent or end.end_reason == "closed")
        self._finished_ends += sorted(self.ends, key=lambda end: (end.ended_ns, end.flow_ordinal))
        key = lambda row: (row.decided_ns, row.flow_ordinal, row.row)  # noqa: E731
        self._finished += sorted(self.rows, key=key)

    def _handle(self, time_ns: int, packet: Packet) -> None:
        part = self.conversations.packet(self.clock, packet)
        if self.schema.key == "five_tuple" and part.replaced:
            del self.flows.entries[part.replaced.ordinal]
        key = self._key(part.conversation, packet)
        flow = self.flows.entries.get(key) or self._begin(key, part.conversation, time_ns, packet)
        flow.last_clock = self.clock
        if self.schema.key == "five_tuple" and part.trailing:
            return
        self._add(flow, time_ns, packet, self._direction(flow, part, packet))
        if self.schema.key == "five_tuple" and part.conversation.closed:
            self._end(flow, "closed", self.clock)
            flow.closed = True

    def _key(self, conversation: Conversation, packet: Packet) -> Any:
        """What tells flows apart under the key of the schema (rule 4)."""
        version = packet.version
        if self.schema.key == "service":
            return (version, *conversation.responder, conversation.protocol)
        if self.schema.key == "source":
            address, _ = conversation.originator
            return (version, address >> 64 if version == 6 else address)
        if self.schema.key == "host_pair":
            return (version, frozenset((packet.source, packet.destination)))
        return conversation.ordinal

    def _direction(self, flow: Flow, part: Part, packet: Packet) -> int:
        if self.schema.key == "host_pair":
            return 1 if packet.source == flow.owner[0] else -1
        return part.direction

    def _begin(self, key: Any, conversation: Conversation, time_ns: int, packet: Packet) -> Flow:
        ends = (conversation.originator, conversation.responder)
        if self.schema.key == "host_pair":
            ends = ((packet.source, 0), (packet.destination, 0))
        flow = Flow(
            self._begun,
            key,
            self.clock,
            owner=ends[0],
            peer=ends[1],
            protocol=packet.protocol,
            conversation=conversation,
            start_ns=time_ns,
            early_deadline=self.clock + self.schema.decide_after_ms * 1_000_000,
            greatest_ns=time_ns,
        )
        self._begun += 1
        self.flows.add(flow)
        heappush(self._early, (flow.early_deadline, flow.ordinal, flow))
        return flow

    def _add(self, flow: Flow, time_ns: int, packet: Packet, direction: int) -> None:
        gap_us = min(max(0, time_ns - flow.greatest_ns) // 1_000, 60_000_000)
        lengths = (packet.ip_length, packet.payload_length)
        rest = (packet.tcp_flags, packet.ttl, packet.tcp_window)
        flow.sequence.append(Item(time_ns, *lengths, gap_us, direction, *rest))
        flow.packets += 1
        flow.sizes[direction].append(packet.ip_length)
        flow.sides.add(direction)
        flow.greatest_ns = max(flow.greatest_ns, time_ns)
        if len(flow.sequence) == self.schema.n:
            self._emit(flow, "full", self.clock)
            flow.index += 1
            flow.sequence = []

    def _emit_early(self, flow: Flow) -> None:
        if not flow.closed and flow.index == 0 and not flow.early:
            self._emit(flow, "early", flow.early_deadline)
            flow.early = len(flow.sequence)

    def _end(self, flow: Flow, reason: str, decided_ns: int) -> None:
        """The flow closes, or leaves its slot."""
        if flow.closed:
            return
        self._emit_rest(flow, reason, decided_ns)
        self.ends.append(
            End(
                flow_ordinal=flow.ordinal,
                start_ns=flow.start_ns,
                last_ns=flow.greatest_ns,
                ended_ns=decided_ns,
                end_reason=reason,
                whole=False,  # told when the stream ends
                packets=[len(flow.sizes[side]) for side in (1, -1)],
                octets=[sum(flow.sizes[side]) for side in (1, -1)],
                midstream=flow.conversation.midstream,
                version=flow.conversation.version,
                protocol=flow.protocol,
                source=flow.owner[0],
                destination=flow.peer[0],
                source_port=flow.owner[1],
                destination_port=flow.peer[1],
            )
        )

    def _emit_rest(self, flow: Flow, reason: str, decided_ns: int) -> None:
        enough = flow.early + 1 if flow.index == 0 else self.schema.repeat_min_packets
        if len(flow.sequence) >= enough:
            self._emit(flow, reason, decided_ns)

    def _emit(self, flow: Flow, reason: str, decided_ns: int) -> None:
        index, items = flow.index, flow.sequence
        if index and "repeat" not in self.schema.policies:
            return
        if index >= self.schema.repeat_all and index.bit_count() != 1:
            self.skipped += reason == "full"
            return
        row = Row(
            ip_length=[item.ip_length for item in items],
            payload_length=[item.payload_length for item in items],
            interarrival_us=[item.interarrival_us for item in items],
            direction=[item.direction for item in items],
            tcp_flags=[item.tcp_flags for item in items],
            ttl=[item.ttl for item in items if "ttl" in self.schema.fields],
            tcp_window=[item.tcp_window for item in items if "tcp_window" in self.schema.fields],
            length=len(items),
            context=flow.conversation.context,
            context_saturated=flow.conversation.saturated,
            flow_ordinal=flow.ordinal,
            row=flow.rows,
            sequence_index=index,
            end_reason=reason,
            decided_ns=decided_ns,
            flow_start_ns=flow.start_ns,
            first_packet_ns=items[0].time_ns,
            last_packet_ns=items[-1].time_ns,
            flow_packets=flow.packets,
            midstream=flow.conversation.midstream,
            version=flow.conversation.version,
            protocol=flow.protocol,
            source=flow.owner[0],
            destination=flow.peer[0],
            source_port=flow.owner[1],
            destination_port=flow.peer[1],
        )
        flow.rows += 1
        self.rows.append(row)


def reference_rows(
    capture: Path | Iterable[Frame], schema: FeatureSchema | None = None, slots: int = 65_536
) -> list[Row]:
    """All rows of a capture, in release order: (decision time, flow ordinal, row)."""
    table, decoder = ReferenceTable(schema or FeatureSchema(), slots), ReferenceDecoder()
    for frame in read_capture(capture) or () if isinstance(capture, Path) else capture:
        packet = decoder.decode(frame)
        if isinstance(packet, Packet):
            table.packet(frame.time_ns, packet)
    return table.finish()


def refusals(capture: Iterable[Frame]) -> dict[str, int]:
    """How many frames are refused, by reason."""
    decoder = ReferenceDecoder()
    for frame in capture:
        decoder.decode(frame)
    return dict(decoder.refused)


def rows_of(batch: Any) -> list[Row]:
    """The rows of a `SequenceBatch`, to be compared with those of the reference.

    Asserts what a `Row` does not show: that packets are front-aligned with zeros after them.
    """
    measured = (*MEASURED_COLUMNS, "kind")
    names = [entry.name for entry in fields(batch) if entry.name not in measured]
    columns = {name: getattr(batch, name).tolist() for name in names}
    assert not any(getattr(batch, name).size for name in MEASURED_COLUMNS)
    assert not batch.kind.any()
    rows = []
    for position in range(len(batch)):
        values = {name: columns[name][position] for name in names}
        for end in ("source", "destination"):
            values[end] = values.pop(f"{end}_high") << 64 | values.pop(f"{end}_low")
        for name in PACKET_COLUMNS:
            packets, padding = values[name][: values["length"]], values[name][values["length"] :]
            assert not any(padding), f"row {position}: {name} has {padding} after its packets"
            values[name] = packets
        values["end_reason"] = END_REASONS[values["end_reason"]]
        rows.append(Row(**values))
    return rows


def ends_of(batch: Any) -> list[End]:
    """The flows of a `FlowEnds`, to be compared with those of the reference."""
    columns = {entry.name: getattr(batch, entry.name).tolist() for entry in fields(batch)}
    columns["end_reason"] = [END_REASONS[reason] for reason in columns["end_reason"]]
    for end in ("source", "destination"):
        words = zip(columns.pop(f"{end}_high"), columns.pop(f"{end}_low"), strict=True)
        columns[end] = [high << 64 | low for high, low in words]
    each = zip(*columns.values(), strict=True)
    return [End(**dict(zip(columns, values, strict=True))) for values in each]
