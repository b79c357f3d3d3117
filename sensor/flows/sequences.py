"""Rows of packets: what the flow table emits and the model scores."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.packets.headers import OFFLOADED_BYTES, OPTIONAL_TYPES

END_REASONS = ("full", "early", "closed", "idle", "evicted")
"""Why a row was decided, indexed by `SequenceBatch.end_reason`:

- ``full``: it has n packets;
- ``early``: `decide_after` has passed since the flow's first packet;
- ``closed``: RST, or FIN from both sides;
- ``idle``: the idle timeout has passed;
- ``evicted``: the table needed the slot.

The end of a stream is silence without end (`docs/semantics.md` 2): open flows end ``idle``.
"""

MEASURED_TYPES: dict[str, type[np.unsignedinteger]] = {
    "rtt": np.uint32,
    "rtt_gap": np.uint32,
    "answered": np.uint8,
    "rtt_usual": np.uint32,
}
"""Columns of rows whose steps are measurements of round-trip times instead of packets."""

LONGEST_US = 60_000_000
"""The clip of a gap between packets, and of a round-trip time."""

LONGEST_MS = 3_600_000
"""The clip of a gap between measurements."""

ROW_TYPES = {**OPTIONAL_TYPES, **MEASURED_TYPES}
"""Columns that only rows of some schemas have."""

CONTEXT_COLUMNS = ("srv_1s", "srv_10s", "src_1s", "src_10s", "dst_1s", "dst_10s")
"""Order of the columns of `SequenceBatch.context`."""


@dataclass(frozen=True, slots=True)
class SequenceBatch:
    """Rows in order of (decision time, flow ordinal, row); b rows of up to n packets.

    Packets are front-aligned: packet k of row r is ``[r, k]`` for k < length[r], zeros after it.
    The source of a row is the flow's originator (`docs/semantics.md` 4).

    Attributes:
        ip_length, payload_length: ``(b, n)`` uint16 bytes.
        interarrival_us: ``(b, n)`` uint32, clipped at 60 s.
        direction: ``(b, n)`` int8, +1 from the originator, −1 to it, 0 padding.
        tcp_flags: ``(b, n)`` uint8.
        ttl: ``(b, n)`` uint8, or ``(b, 0)`` where the schema has no such field.
        tcp_window: ``(b, n)`` uint16, or ``(b, 0)`` likewise.
        rtt: ``(b, n)`` uint32 round-trip times in µs, 0 where there was no answer, or ``(b, 0)``
            where rows are of packets (`sensor.latency`); likewise the next three.
        rtt_gap: ``(b, n)`` uint32 ms since the measurement before.
        answered: ``(b, n)`` uint8, 1 where there was an answer.
        rtt_usual: ``(b, n)`` uint32 µs, what was usual in the series before the measurement.
        length: ``(b,)`` uint16 packets in the row.
        context: ``(b, 6)`` uint32 counts of flows, columns as `CONTEXT_COLUMNS`.
        context_saturated: ``(b,)`` bool: more flows began within the window than are remembered.
        flow_ordinal: ``(b,)`` int64, number of the flow in order of first packets, from 0.
        row: ``(b,)`` int32, number of the row within its flow, from 0.
        sequence_index: ``(b,)`` int32; the row holds packets index·n … index·n + length − 1.
        end_reason: ``(b,)`` uint8 index into `END_REASONS`.
        decided_ns: ``(b,)`` int64 flow clock at the decision.
        flow_start_ns, first_packet_ns, last_packet_ns: ``(b,)`` int64 times of the flow's first
            packet and of the row's first and last packets.
        flow_packets: ``(b,)`` int64 packets of the flow so far.
        midstream: ``(b,)`` bool: TCP whose first packet was not a SYN.
        version, protocol: ``(b,)`` uint8.
        kind: ``(b,)`` uint8 index into `sensor.latency.measurements.KINDS` for rows of
            measurements, 0 for others.
        source_high, source_low, destination_high, destination_low: ``(b,)`` uint64, as in
            `sensor.packets.headers.Headers`.
        source_port, destination_port: ``(b,)`` uint16.
    """

    ip_length: NDArray[np.uint16]
    payload_length: NDArray[np.uint16]
    interarrival_us: NDArray[np.uint32]
    direction: NDArray[np.int8]
    tcp_flags: NDArray[np.uint8]
    ttl: NDArray[np.uint8]
    tcp_window: NDArray[np.uint16]
    rtt: NDArray[np.uint32]
    rtt_gap: NDArray[np.uint32]
    answered: NDArray[np.uint8]
    rtt_usual: NDArray[np.uint32]
    length: NDArray[np.uint16]
    context: NDArray[np.uint32]
    context_saturated: NDArray[np.bool_]
    flow_ordinal: NDArray[np.int64]
    row: NDArray[np.int32]
    sequence_index: NDArray[np.int32]
    end_reason: NDArray[np.uint8]
    decided_ns: NDArray[np.int64]
    flow_start_ns: NDArray[np.int64]
    first_packet_ns: NDArray[np.int64]
    last_packet_ns: NDArray[np.int64]
    flow_packets: NDArray[np.int64]
    midstream: NDArray[np.bool_]
    version: NDArray[np.uint8]
    protocol: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    source_high: NDArray[np.uint64]
    source_low: NDArray[np.uint64]
    destination_high: NDArray[np.uint64]
    destination_low: NDArray[np.uint64]
    source_port: NDArray[np.uint16]
    destination_port: NDArray[np.uint16]

    def __len__(self) -> int:
        return int(self.length.size)

    @property
    def optional(self) -> tuple[str, ...]:
        """Which of `ROW_TYPES` the rows have."""
        return tuple(name for name in ROW_TYPES if getattr(self, name).shape[1])

    @property
    def offloaded(self) -> NDArray[np.bool_]:
        """``(b,)`` whether one of the row's packets is too long for the wire (rule 26)."""
        long = self.ip_length > OFFLOADED_BYTES
        # usually none is, and a reduction of short rows costs several times as much
        if not long.any():
            return np.zeros(len(self), np.bool_)
        offloaded: NDArray[np.bool_] = np.logical_or.reduce(long, axis=1)
        return offloaded

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "SequenceBatch":
        """The given rows, in the given order."""
        return SequenceBatch(*[getattr(self, name)[rows] for name in _DTYPES])

    @classmethod
    def concatenate(cls, batches: "list[SequenceBatch]") -> "SequenceBatch":
        """One batch of all rows; at least one batch is given."""
        if len(batches) == 1:
            return batches[0]
        return cls(*[np.concatenate([getattr(b, name) for b in batches]) for name in _DTYPES])

    @classmethod
    def empty(cls, n: int, optional: Collection[str] = ()) -> "SequenceBatch":
        """A batch without rows, with every column's type, for a schema's n and `optional`."""
        return cls.zeros(n, 0, optional)

    @classmethod
    def zeros(cls, n: int, count: int, optional: Collection[str] = ()) -> "SequenceBatch":
        """A batch of `count` rows of zeros, for a schema's n and `optional`."""
        return cls(
            **{
                name: np.zeros((count, *_shape(name, n, optional)), dtype)
                for name, dtype in _DTYPES.items()
            }
        )


def _shape(name: str, n: int, optional: Collection[str]) -> tuple[int, ...]:
    if name in ROW_TYPES:
        return (n,) if name in optional else (0,)
    if name in ("ip_length", "payload_length", "interarrival_us", "direction", "tcp_flags"):
        return (n,)
    return (len(CONTEXT_COLUMNS),) if name == "context" else ()


_DTYPES: dict[str, type[np.generic]] = {
    "ip_length": np.uint16,
    "payload_length": np.uint16,
    "interarrival_us": np.uint32,
    "direction": np.int8,
    "tcp_flags": np.uint8,
    **ROW_TYPES,
    "length": np.uint16,
    "context": np.uint32,
    "context_saturated": np.bool_,
    "flow_ordinal": np.int64,
    "row": np.int32,
    "sequence_index": np.int32,
    "end_reason": np.uint8,
    "decided_ns": np.int64,
    "flow_start_ns": np.int64,
    "first_packet_ns": np.int64,
    "last_packet_ns": np.int64,
    "flow_packets": np.int64,
    "midstream": np.bool_,
    "version": np.uint8,
    "protocol": np.uint8,
    "kind": np.uint8,
    "source_high": np.uint64,
    "source_low": np.uint64,
    "destination_high": np.uint64,
    "destination_low": np.uint64,
    "source_port": np.uint16,
    "destination_port": np.uint16,
}
