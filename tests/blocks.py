"""Blocks of any size from frames, and headers from packets that the reference decoded."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np
from reference import Frame
from reference_decode import Packet

from sensor.capture.block import GATHER_BYTES, PacketBlock
from sensor.packets.headers import PROBE_TYPES, Headers

FOREIGN = 0xA5
"""What lies in the buffer between the frames: nothing that reads past a frame goes unseen."""

Timed = tuple[int, Packet]


def block_of(frames: Sequence[Frame], gap: int = 3) -> PacketBlock:
    """One block over one buffer; `gap` foreign bytes between frames, and after the last one."""
    offsets, at = [], gap
    for frame in frames:
        offsets.append(at)
        at += len(frame.octets) + gap
    buffer = np.full(at + GATHER_BYTES, FOREIGN, np.uint8)
    for offset, frame in zip(offsets, frames, strict=True):
        buffer[offset : offset + len(frame.octets)] = np.frombuffer(frame.octets, np.uint8)
    captured = [len(frame.octets) for frame in frames]
    wire = [
        length if frame.wire_length < 0 else frame.wire_length
        for frame, length in zip(frames, captured, strict=True)
    ]
    return PacketBlock(
        buffer,
        np.array(offsets, np.int64),
        np.array(captured, np.int64),
        np.array(wire, np.int64),
        np.array([frame.time_ns for frame in frames], np.int64),
        np.zeros(len(frames), np.uint16),
        np.zeros(len(frames), np.uint16),
        np.array([frame.link_type for frame in frames], np.uint16),
    )


def blocks_of(frames: Sequence[Frame], size: int) -> Iterator[PacketBlock]:
    """The same frames in blocks of `size`."""
    for start in range(0, len(frames), size):
        yield block_of(frames[start : start + size])


def headers_of(packets: Sequence[Timed]) -> Headers:
    """Columns of packets with their times."""
    word = (1 << 64) - 1
    values = {
        "timestamp_ns": [time_ns for time_ns, _ in packets],
        "source_high": [packet.source >> 64 for _, packet in packets],
        "source_low": [packet.source & word for _, packet in packets],
        "destination_high": [packet.destination >> 64 for _, packet in packets],
        "destination_low": [packet.destination & word for _, packet in packets],
    }
    types = {"timestamp_ns": np.int64, "version": np.uint8, "protocol": np.uint8}
    types |= {"tcp_flags": np.uint8, "ttl": np.uint8} | dict.fromkeys(list(values)[1:], np.uint64)
    for entry in fields(Headers):
        if entry.name not in (*values, *PROBE_TYPES):
            values[entry.name] = [getattr(packet, entry.name) for _, packet in packets]
    none = {name: np.zeros((len(packets), 0), kind) for name, kind in PROBE_TYPES.items()}
    return Headers(
        **{name: np.array(column, types.get(name, np.uint16)) for name, column in values.items()},
        **none,
    )


def packets_of(headers: Headers) -> list[Timed]:
    """The inverse of `headers_of`; what was not asked for is 0."""
    names = [entry.name for entry in fields(Headers) if entry.name not in PROBE_TYPES]
    columns = [getattr(headers, name) for name in names]
    columns = [column.tolist() if column.ndim == 1 else [0] * len(headers) for column in columns]
    return [
        (time, Packet(version, protocol, a << 64 | b, c << 64 | d, *rest))
        for time, version, protocol, a, b, c, d, *rest in zip(*columns, strict=True)
    ]
