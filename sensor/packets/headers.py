"""Decoded headers as columns: what the decoder hands to the flow table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ICMP = 1
TCP = 6
UDP = 17
ICMPV6 = 58
SCTP = 132

_COUNTERPARTS = {
    ICMP: ((8, 0), (13, 14), (15, 16), (17, 18), (10, 9)),
    ICMPV6: ((128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)),
}
TWO_WAY_TYPES = {
    protocol: {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    for protocol, pairs in _COUNTERPARTS.items()
}
"""ICMP message types that answer each other, by protocol: type to its counterpart's type, from
the Community ID specification version 1. Only their flows have two directions."""

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
"""TCP flag bits, RFC 9293 section 3.1."""

OFFLOADED_BYTES = 1_500
"""A longer IP packet was put together by the capturing machine, or is a jumbo frame: this is the
most that Ethernet carries (IEEE 802.3, clause 3.2.7)."""

REFUSALS = (
    "link_type",
    "truncated_frame",
    "not_ip",
    "slow_path_limit",
    "vlan_depth",
    "mpls_depth",
    "ip_header",
    "ipv6_extensions",
    "truncated_ip",
    "tunnel_depth",
    "truncated_transport",
)
"""Why a frame is not decoded; every frame is decoded or counted under exactly one of these:

- ``link_type``: a kind of link that the decoder does not know;
- ``truncated_frame``: fewer captured bytes than what lies before the IP header;
- ``not_ip``: something else than IP (ARP, LLDP, …);
- ``slow_path_limit``: more frames for the slow path than a second of packet time has room for;
- ``vlan_depth``: more VLAN tags than the decoder follows;
- ``mpls_depth``: more MPLS labels than the decoder follows;
- ``ip_header``: version, header length or total length contradict each other;
- ``ipv6_extensions``: an extension header chain longer than the decoder follows;
- ``truncated_ip``: the capture ends inside the IP header or its extensions;
- ``tunnel_depth``: more IP in IP than the decoder follows;
- ``truncated_transport``: the capture or the datagram ends inside the TCP, UDP, SCTP or ICMP
  header, or the header contradicts itself.
"""

DECODED = 0
REFUSAL_CODES = {reason: code for code, reason in enumerate(REFUSALS, start=1)}
"""Refusals as they stand in columns, where `DECODED` stands for none."""

OPTIONAL_TYPES: dict[str, type[np.unsignedinteger]] = {"ttl": np.uint8, "tcp_window": np.uint16}
"""Columns of `Headers` that are decoded only where they are asked for, and that rows may have."""

PROBE_TYPES: dict[str, type[np.unsignedinteger]] = {
    "sequence_numbers": np.uint64,
    "tcp_timestamps": np.uint64,
}
"""Columns that tell which packet answers which, decoded only where they are asked for."""

COLUMN_TYPES: dict[str, type[np.generic]] = {
    "timestamp_ns": np.int64,
    "version": np.uint8,
    "protocol": np.uint8,
    "source_high": np.uint64,
    "source_low": np.uint64,
    "destination_high": np.uint64,
    "destination_low": np.uint64,
    "source_port": np.uint16,
    "destination_port": np.uint16,
    "ip_length": np.uint16,
    "payload_length": np.uint16,
    "tcp_flags": np.uint8,
    **OPTIONAL_TYPES,
    **PROBE_TYPES,
}
"""All columns of `Headers`, in order."""

ASKED_FOR = frozenset({*OPTIONAL_TYPES, *PROBE_TYPES})
"""Those of them that are decoded only where they are asked for."""


@dataclass(frozen=True, slots=True)
class Headers:
    """Columns of the decoded packets of one block, in packet order; all of length ``packets``.

    An IPv4 address is its 32-bit value in the low word, the high word 0; `version` tells it from
    an IPv6 address. For ICMP the ports are those of the Community ID specification (the type and
    its counterpart for two-way messages, else type and code), so that a request and its reply
    are one flow.

    Attributes:
        timestamp_ns: int64.
        version: uint8, 4 or 6.
        protocol: uint8, IANA number of the transport.
        source_high, source_low, destination_high, destination_low: uint64 address words.
        source_port, destination_port: uint16, 0 where the protocol has none.
        ip_length: uint16, IPv4 total length or IPv6 payload length + 40; the wire length less the
            link header where the field is 0 (segmentation offload), clipped at 65,535.
        payload_length: uint16, `ip_length` less IP and transport headers.
        tcp_flags: uint8, the low eight flag bits; 0 for other protocols.
        ttl: uint8, IPv4 time to live or IPv6 hop limit, of the header that has `ip_length`;
            ``(packets, 0)`` where nobody asks for it.
        tcp_window: uint16, as on the wire and not scaled; 0 where no TCP header is read;
            ``(packets, 0)`` where nobody asks for it.
        sequence_numbers: uint64; of TCP the sequence number in the high half and the
            acknowledgement number in the low one, of an ICMP or ICMPv6 echo request or reply 1 in
            the high half, identifier and sequence number in the low one; 0 for all others and
            for later fragments, ``(packets, 0)`` where nobody asks for it.
        tcp_timestamps: uint64; TSval of the TCP timestamps option (RFC 7323) in the high half,
            TSecr in the low one; 0 without the option, ``(packets, 0)`` where nobody asks for it.
    """

    timestamp_ns: NDArray[np.int64]
    version: NDArray[np.uint8]
    protocol: NDArray[np.uint8]
    source_high: NDArray[np.uint64]
    source_low: NDArray[np.uint64]
    destination_high: NDArray[np.uint64]
    destination_low: NDArray[np.uint64]
    source_port: NDArray[np.uint16]
    destination_port: NDArray[np.uint16]
    ip_length: NDArray[np.uint16]
    payload_length: NDArray[np.uint16]
    tcp_flags: NDArray[np.uint8]
    ttl: NDArray[np.uint8]
    tcp_window: NDArray[np.uint16]
    sequence_numbers: NDArray[np.uint64]
    tcp_timestamps: NDArray[np.uint64]

    def __len__(self) -> int:
        return int(self.timestamp_ns.size)
