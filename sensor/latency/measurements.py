"""Round-trip times as records, and what they are measured by (`docs/semantics.md` 38)."""

import numpy as np
from numpy.typing import NDArray

from sensor.packets.headers import Headers

KINDS = ("syn", "syn_ack", "echo", "timestamp")
"""What was answered, indexed by the field `kind` of a record:

- ``syn``: a SYN, by a SYN-ACK or RST;
- ``syn_ack``: a SYN-ACK, by the ACK that ends the handshake, or a RST with it;
- ``echo``: an ICMP or ICMPv6 echo request, by its reply;
- ``timestamp``: a TCP timestamp (RFC 7323), by the first segment that echoes it.
"""
SYN_KIND, SYN_ACK_KIND, ECHO_KIND, TIMESTAMP_KIND = range(len(KINDS))

_ENDS: list[tuple[str, type[np.generic]]] = [
    ("source_high", np.uint64),
    ("source_low", np.uint64),
    ("destination_high", np.uint64),
    ("destination_low", np.uint64),
    ("source_port", np.uint16),
    ("destination_port", np.uint16),
    ("version", np.uint8),
    ("protocol", np.uint8),
]
ENDS = tuple(name for name, _ in _ENDS)
"""Columns of `Headers` that a record has of the packet that was answered: the peer, who answers, is
the destination."""

PROBE = np.dtype(
    [
        ("number", np.int64),
        ("clock_ns", np.int64),
        ("sent_ns", np.int64),
        *_ENDS,
        ("kind", np.uint8),
        ("repeated", np.bool_),
        ("answered", np.bool_),
    ]
)
"""A packet that may be answered: its number in the stream, the flow clock at it and its own time,
whose it is, and whether it was sent again or answered since."""

MEASUREMENT = np.dtype(
    [
        ("decided_ns", np.int64),
        ("sent_ns", np.int64),
        ("rtt_ns", np.int64),
        ("number", np.int64),
        *_ENDS,
        ("kind", np.uint8),
        ("answered", np.bool_),
        ("refused", np.bool_),
    ]
)
"""A measurement: the flow clock at which it was known, the time of the packet that was to be
answered, the round-trip time (0 without an answer), the number in the stream of the packet that
answered (without one, of that which was to be answered), and whether the answer was a reset."""


def probes_of(
    headers: Headers, packet: NDArray[np.int64], clock: NDArray[np.int64], first: int
) -> NDArray[np.void]:
    """Records `PROBE` of some packets of a piece, nothing of which has happened yet.

    Args:
        headers: the piece.
        packet: places in it.
        clock: flow clock at each of its packets.
        first: number of its first packet in the stream.
    """
    probes = np.zeros(packet.size, PROBE)
    probes["number"] = first + packet
    probes["clock_ns"] = clock[packet]
    probes["sent_ns"] = headers.timestamp_ns[packet]
    for name in ENDS:
        probes[name] = getattr(headers, name)[packet]
    return probes


def measurements_of(probes: NDArray[np.void]) -> NDArray[np.void]:
    """Records `MEASUREMENT` of probes without an answer, but for when that was decided."""
    found = np.zeros(probes.size, MEASUREMENT)
    for name in ("sent_ns", "number", *ENDS, "kind"):
        found[name] = probes[name]
    return found


def in_order(found: NDArray[np.void]) -> NDArray[np.void]:
    """Measurements by the time of their decision; of equal ones those with an answer first.

    An answer at the very end of its time still counts, so failures of that moment come later.
    """
    keys = (found["kind"], found["number"], ~found["answered"], found["decided_ns"])
    ordered: NDArray[np.void] = found[np.lexsort(keys)]
    return ordered
