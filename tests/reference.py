"""A plain second implementation of `docs/semantics.md`: one packet, one dictionary at a time.

The vectorized decoder and flow table are held against this. It imports the feature schema (the
numbers of the rules) and nothing else of the sensor, has no arrays and no blocks, and follows the
order of the written rules, so that it can be read beside them. `tests/sensor/test_reference.py`
holds it against hand-worked cases and against dpkt.
"""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, NamedTuple

from reference_decode import TCP, Packet, decode_reference

from sensor.model.schema import FeatureSchema

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
SECOND_NS = 1_000_000_000
FOREVER_NS = 1 << 80

END_REASONS = ("full", "early", "closed", "idle", "evicted")
CONTEXT_WINDOWS = tuple((scope, window) for scope in range(3) for window in (1, 10))
"""srv, src, dst (scopes of `Flow.identities`), each over 1 s and 10 s."""


class Frame(NamedTuple):
    """A frame of a capture; `wire_length` −1 stands for that of the bytes."""

    time_ns: int
    octets: bytes
    wire_length: int = -1
    link_type: int = 1

    def decode(self) -> Packet | str:
        """Its headers or its refusal."""
        wire_length = len(self.octets) if self.wire_length < 0 else self.wire_length
        return decode_reference(self.octets, wire_length)


def read_pcap(capture: Path | bytes) -> Iterator[Frame]:
    """The whole records of a classic pcap file (dpkt's reader has no wire lengths)."""
    octets = capture if isinstance(capture, bytes) else capture.read_bytes()
    magic = octets[:4]
    big = magic in (bytes.fromhex("a1b2c3d4"), bytes.fromhex("a1b23c4d"))
    unit_ns = 1 if magic in (bytes.fromhex("a1b23c4d"), bytes.fromhex("4d3cb2a1")) else 1_000
    at = 24
    while at + 16 <= len(octets):
        words = struct.unpack_from((">" if big else "<") + "IIII", octets, at)
        seconds, fraction, captured, wire_length = words
        if at + 16 + captured > len(octets):
            return
        time_ns = seconds * SECOND_NS + fraction * unit_ns
        yield Frame(time_ns, octets[at + 16 : at + 16 + captured], wire_length)
        at += 16 + captured


@dataclass
class Row:
    """A row of a `SequenceBatch` in Python's own integers; lists hold `length` entries."""

    ip_length: list[int]
    payload_length: list[int]
    interarrival_us: list[int]
    direction: list[int]
    tcp_flags: list[int]
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


class Item(NamedTuple):
    """What a sequence keeps of a packet."""

    time_ns: int
    ip_length: int
    payload_length: int
    interarrival_us: int
    direction: int
    tcp_flags: int


@dataclass
class Flow:
    """A flow that occupies a slot: open, or closed and not yet silent for long enough."""

    ordinal: int
    key: Any
    originator: tuple[int, int]
    responder: tuple[int, int]
    version: int
    protocol: int
    start_ns: int
    last_clock: int
    greatest_ns: int
    midstream: bool
    context: list[int]
    saturated: bool
    packets: int = 0
    index: int = 0
    early: int = 0
    rows: int = 0
    closed: bool = False
    sides: set[int] = field(default_factory=set)
    finished_sides: set[int] = field(default_factory=set)
    sequence: list[Item] = field(default_factory=list)

    @property
    def probation(self) -> bool:
        """Goes first when the table is full (rule 6)."""
        return self.closed or len(self.sides) < 2 or self.packets <= 2


class ReferenceTable:
    """Rules 1 to 9; `evict_every` and `memory` are smaller in tests than in the rules."""

    def __init__(
        self,
        schema: FeatureSchema,
        slots: int = 65_536,
        evict_every: int = 16_384,
        memory: int = 65_536,
    ) -> None:
        self.schema = schema
        self.slots, self.evict_every, self.memory = slots, evict_every, memory
        self.clock = 0
        self.decoded = 0
        self.rows: list[Row] = []
        self.flows: dict[Any, Flow] = {}
        self.skipped = 0
        self._began: list[int] = []
        self._began_by: list[dict[Any, list[tuple[int, int]]]] = [{}, {}, {}]
        self._deadlines: list[tuple[int, int, int]] = []
        self._by_ordinal: dict[int, Flow] = {}

    def tick(self, clock: int) -> None:
        """Advances the flow clock and fires what has passed (rules 1 and 2)."""
        self.clock = max(self.clock, clock)
        while self._deadlines and self._deadlines[0][0] < self.clock:
            deadline, kind, ordinal = heappop(self._deadlines)
            flow = self._by_ordinal.get(ordinal)
            if flow is None:
                continue
            if kind == 0:
                if not flow.closed and flow.index == 0:
                    self._emit(flow, "early", deadline)
                    flow.early = len(flow.sequence)
            elif (due := flow.last_clock + self.schema.idle_timeout_ms * 1_000_000) == deadline:
                self._end(flow, "idle", deadline)
            else:
                heappush(self._deadlines, (due, 1, ordinal))

    def packet(self, time_ns: int, packet: Packet) -> None:
        """One packet: advance the clock, fire, handle, perhaps evict."""
        self.tick(time_ns)
        self._handle(time_ns, packet)
        self.decoded += 1
        if self.decoded % self.evict_every == 0:
            self._evict()

    def finish(self) -> list[Row]:
        """Silence without end (rule 2), then all rows in release order."""
        self.tick(FOREVER_NS)
        return sorted(self.rows, key=lambda row: (row.decided_ns, row.flow_ordinal, row.row))

    def _handle(self, time_ns: int, packet: Packet) -> None:
        source = (packet.source, packet.source_port)
        destination = (packet.destination, packet.destination_port)
        key = (packet.version, packet.protocol, frozenset((source, destination)))
        tcp = packet.protocol == TCP
        syn, ack = bool(packet.tcp_flags & SYN), bool(packet.tcp_flags & ACK)
        flow = self.flows.get(key)
        if flow and flow.closed:
            if not (tcp and syn and not ack):
                flow.last_clock = self.clock
                return
            self._end(flow, "idle", self.clock)
            flow = None
        if flow is None:
            inverted = tcp and syn and ack
            ends = (destination, source) if inverted else (source, destination)
            flow = self._begin(key, ends, time_ns, packet)
        direction = 1 if source == flow.originator else -1
        gap_us = min(max(0, time_ns - flow.greatest_ns) // 1_000, 60_000_000)
        lengths = (packet.ip_length, packet.payload_length)
        flow.sequence.append(Item(time_ns, *lengths, gap_us, direction, packet.tcp_flags))
        flow.packets += 1
        flow.sides.add(direction)
        flow.last_clock = self.clock
        flow.greatest_ns = max(flow.greatest_ns, time_ns)
        if len(flow.sequence) == self.schema.n:
            self._emit(flow, "full", self.clock)
            flow.index += 1
            flow.sequence = []
        if packet.tcp_flags & FIN:
            flow.finished_sides.add(direction)
        if packet.tcp_flags & RST or len(flow.finished_sides) == 2:
            self._emit_rest(flow, "closed", self.clock)
            flow.closed = True

    def _begin(
        self, key: Any, ends: tuple[tuple[int, int], tuple[int, int]], time_ns: int, packet: Packet
    ) -> Flow:
        ordinal = len(self._began)
        (originator, responder), version, protocol = ends, packet.version, packet.protocol
        oldest = max(0, ordinal - self.memory)
        identities = (
            (version, *responder, protocol),
            (version, originator[0]),
            (version, responder[0]),
        )
        context = []
        for scope, window in CONTEXT_WINDOWS:
            earlier = self._began_by[scope].get(identities[scope], [])
            too_early = bisect_right(earlier, (self.clock - window * SECOND_NS, ordinal))
            forgotten = bisect_left(earlier, oldest, key=lambda began: began[1])
            context.append(len(earlier) - max(too_early, forgotten))
        saturated = oldest > 0 and self._began[oldest - 1] > self.clock - 10 * SECOND_NS
        flow = Flow(
            ordinal,
            key,
            originator,
            responder,
            version,
            protocol,
            time_ns,
            self.clock,
            time_ns,
            protocol == TCP and not packet.tcp_flags & SYN,
            context,
            saturated,
        )
        for scope, identity in enumerate(identities):
            self._began_by[scope].setdefault(identity, []).append((self.clock, ordinal))
        self._began.append(self.clock)
        self.flows[key] = self._by_ordinal[ordinal] = flow
        early = self.clock + self.schema.decide_after_ms * 1_000_000
        idle = self.clock + self.schema.idle_timeout_ms * 1_000_000
        heappush(self._deadlines, (early, 0, ordinal))
        heappush(self._deadlines, (idle, 1, ordinal))
        return flow

    def _end(self, flow: Flow, reason: str, decided_ns: int) -> None:
        if not flow.closed:
            self._emit_rest(flow, reason, decided_ns)
        del self.flows[flow.key]
        del self._by_ordinal[flow.ordinal]

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
            length=len(items),
            context=flow.context,
            context_saturated=flow.saturated,
            flow_ordinal=flow.ordinal,
            row=flow.rows,
            sequence_index=index,
            end_reason=reason,
            decided_ns=decided_ns,
            flow_start_ns=flow.start_ns,
            first_packet_ns=items[0].time_ns,
            last_packet_ns=items[-1].time_ns,
            flow_packets=flow.packets,
            midstream=flow.midstream,
            version=flow.version,
            protocol=flow.protocol,
            source=flow.originator[0],
            destination=flow.responder[0],
            source_port=flow.originator[1],
            destination_port=flow.responder[1],
        )
        flow.rows += 1
        self.rows.append(row)

    def _evict(self) -> None:
        if self.slots - len(self.flows) >= self.evict_every:
            return
        ranked = sorted(
            self.flows.values(),
            key=lambda flow: (
                not flow.probation,
                not flow.probation and flow.last_clock,
                flow.ordinal,
            ),
        )
        for flow in ranked[: max(0, len(ranked) - 3 * self.slots // 4)]:
            self._end(flow, "evicted", self.clock)


def reference_rows(
    capture: Path | Iterable[Frame], schema: FeatureSchema | None = None, slots: int = 65_536
) -> list[Row]:
    """All rows of a capture, in release order: (decision time, flow ordinal, row)."""
    table = ReferenceTable(schema or FeatureSchema(), slots)
    for frame in read_pcap(capture) if isinstance(capture, Path) else capture:
        packet = frame.decode()
        if isinstance(packet, Packet):
            table.packet(frame.time_ns, packet)
    return table.finish()


def refusals(capture: Iterable[Frame]) -> dict[str, int]:
    """How many frames are refused, by reason."""
    counts: dict[str, int] = {}
    for frame in capture:
        reason = frame.decode()
        if isinstance(reason, str):
            counts[reason] = counts.get(reason, 0) + 1
    return counts


def rows_of(batch: Any) -> list[Row]:
    """The rows of a `SequenceBatch`, to be compared with those of the reference.

    Asserts what a `Row` does not show: that packets are front-aligned with zeros after them.
    """
    names = [entry.name for entry in fields(batch)]
    columns = {name: getattr(batch, name).tolist() for name in names}
    rows = []
    for position in range(len(batch)):
        values = {name: columns[name][position] for name in names}
        for end in ("source", "destination"):
            values[end] = values.pop(f"{end}_high") << 64 | values.pop(f"{end}_low")
        for name in ("ip_length", "payload_length", "interarrival_us", "direction", "tcp_flags"):
            packets, padding = values[name][: values["length"]], values[name][values["length"] :]
            assert not any(padding), f"row {position}: {name} has {padding} after its packets"
            values[name] = packets
        values["end_reason"] = END_REASONS[values["end_reason"]]
        rows.append(Row(**values))
    return rows
