"""TCP, UDP, SCTP and ICMP behind the IP headers (`docs/semantics.md` 25)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.packets.datagrams import Datagrams
from sensor.packets.gather import Bytes, Index, by_number, words_of
from sensor.packets.headers import (
    DECODED,
    ICMP,
    ICMPV6,
    REFUSAL_CODES,
    SCTP,
    TCP,
    TWO_WAY_TYPES,
    UDP,
)

_NEEDED = by_number({TCP: 20, UDP: 8, ICMP: 4, ICMPV6: 4, SCTP: 12})
"""Transport header bytes that must be there to be read."""
_HEADER = by_number({UDP: 8, ICMP: 8, ICMPV6: 8, SCTP: 12})
"""Transport header length, where it is fixed."""
_COUNTERPART = {protocol: by_number(types, default=-1) for protocol, types in TWO_WAY_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Segments:
    """What transport headers say; columns as long as those of `Datagrams`."""

    source_port: NDArray[np.uint16]
    destination_port: NDArray[np.uint16]
    payload_length: Index
    tcp_flags: Bytes


def read_segments(datagrams: Datagrams) -> Segments:
    """Ports, payload lengths and TCP flags; refusals are noted in `datagrams`, in place."""
    head, protocol, refusal = datagrams.transport, datagrams.protocol, datagrams.refusal
    later = datagrams.later
    stated = datagrams.total - datagrams.header
    tcp = protocol == TCP
    needed = _NEEDED[protocol]
    header = np.where(tcp, (head[:, 12] >> 4).astype(np.int64) << 2, _HEADER[protocol])
    if later.size:
        needed[later] = header[later] = 0
        tcp[later] = False
    short = np.minimum(stated, datagrams.captured - datagrams.header) < needed
    short |= tcp & ((header < 20) | (header > stated))
    if short.any():
        refusal[short & (refusal == DECODED)] = REFUSAL_CODES["truncated_transport"]

    source, destination = words_of(head, 0).astype(np.uint16), words_of(head, 2).astype(np.uint16)
    with_ports = tcp | (protocol == UDP) | (protocol == SCTP)
    with_ports[later] = False
    portless = np.flatnonzero(~with_ports)
    if portless.size:
        source[portless] = destination[portless] = 0
        message = np.ones(protocol.size, np.bool_)
        message[later] = False
        for kind, counterpart in _COUNTERPART.items():
            at = portless[(protocol[portless] == kind) & message[portless]]
            answer = counterpart[head[at, 0]]
            source[at] = head[at, 0]
            destination[at] = np.where(answer >= 0, answer, head[at, 1])
    return Segments(source, destination, np.maximum(stated - header, 0), head[:, 13] * tcp)


def read_windows(datagrams: Datagrams) -> NDArray[np.uint16]:
    """TCP windows as they are on the wire (RFC 9293 section 3.1); 0 where there is no TCP header.

    Only of packets that `read_segments` does not refuse.
    """
    tcp = datagrams.protocol == TCP
    tcp[datagrams.later] = False
    windows: NDArray[np.uint16] = words_of(datagrams.transport, 14).astype(np.uint16) * tcp
    return windows
