"""Byte builders for pcapng files, from draft-ietf-opsawg-pcapng alone.

Nothing of the sensor is imported. Every builder takes the byte order; lengths are right unless a
test overrides them.
"""

import struct
from collections.abc import Sequence

LITTLE, BIG = "<", ">"
TSRESOL, TSOFFSET, NAME, COMMENT, END = 9, 14, 2, 1, 0


def padded(octets: bytes) -> bytes:
    """Filled up to 32 bits."""
    return octets + bytes(-len(octets) % 4)


def options(entries: Sequence[tuple[int, bytes]], order: str = LITTLE) -> bytes:
    """Options with their end; nothing at all if there are none."""
    if not entries:
        return b""
    body = b"".join(struct.pack(f"{order}HH", c, len(v)) + padded(v) for c, v in entries)
    return body + struct.pack(f"{order}HH", END, 0)


def block(
    kind: int,
    body: bytes,
    order: str = LITTLE,
    length: int | None = None,
    last_length: int | None = None,
) -> bytes:
    """A block (3.1); `length` and `last_length` override its two lengths."""
    total = 12 + len(padded(body)) if length is None else length
    head = struct.pack(f"{order}II", kind, total)
    tail = struct.pack(f"{order}I", total if last_length is None else last_length)
    return head + padded(body) + tail


def section(order: str = LITTLE, length: int = -1, version: tuple[int, int] = (1, 0)) -> bytes:
    """A section header block (4.1) with an option that says nothing of importance."""
    body = struct.pack(f"{order}IHHq", 0x1A2B3C4D, *version, length)
    return block(0x0A0D0D0A, body + options([(COMMENT, b"made up")], order), order)


def interface(
    link_type: int = 1,
    snaplen: int = 0,
    entries: Sequence[tuple[int, bytes]] = (),
    order: str = LITTLE,
) -> bytes:
    """An interface description block (4.2)."""
    body = struct.pack(f"{order}HHI", link_type, 0, snaplen) + options(entries, order)
    return block(1, body, order)


def resolution(value: int) -> tuple[int, bytes]:
    """Option `if_tsresol`."""
    return TSRESOL, bytes([value])


def offset(seconds: int, order: str = LITTLE) -> tuple[int, bytes]:
    """Option `if_tsoffset`."""
    return TSOFFSET, struct.pack(f"{order}q", seconds)


def enhanced(
    frame: bytes,
    units: int,
    identity: int = 0,
    order: str = LITTLE,
    wire: int | None = None,
    captured: int | None = None,
    entries: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """An enhanced packet block (4.3)."""
    captured = len(frame) if captured is None else captured
    lengths = (captured, len(frame) if wire is None else wire)
    head = struct.pack(f"{order}IIIII", identity, units >> 32, units & 0xFFFF_FFFF, *lengths)
    return block(6, head + padded(frame) + options(entries, order), order)


def obsolete(
    frame: bytes, units: int, identity: int = 0, order: str = LITTLE, wire: int | None = None
) -> bytes:
    """A packet block (appendix A), of which 7 packets were dropped before."""
    lengths = (len(frame), len(frame) if wire is None else wire)
    head = struct.pack(f"{order}HHIIII", identity, 7, units >> 32, units & 0xFFFF_FFFF, *lengths)
    return block(2, head + padded(frame), order)


def simple(frame: bytes, order: str = LITTLE, wire: int | None = None) -> bytes:
    """A simple packet block (4.4)."""
    return block(3, struct.pack(f"{order}I", len(frame) if wire is None else wire) + frame, order)


def statistics(drops: int, identity: int = 0, order: str = LITTLE) -> bytes:
    """An interface statistics block (4.6) that tells `isb_ifdrop`."""
    entry = (5, struct.pack(f"{order}Q", drops))
    return block(5, struct.pack(f"{order}III", identity, 0, 0) + options([entry], order), order)


def write(frames: Sequence[bytes], times_us: Sequence[int], order: str = LITTLE) -> bytes:
    """An ordinary file: one section, one Ethernet interface, microseconds."""
    packets = [enhanced(f, t, order=order) for f, t in zip(frames, times_us, strict=True)]
    return b"".join([section(order), interface(order=order), *packets])
