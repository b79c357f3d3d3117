"""Vectorized decoder: a block of frames to columns of header fields.

All headers of a block are gathered with overlapping void views (one copy of a fixed number of
bytes a packet); every field is then a strided column. Nothing is read past the captured length
of a frame, and every frame is either decoded or counted under one reason (`docs/semantics.md`,
"Decoding"). The module keeps no state but its counters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import PacketBlock
from sensor.packets.headers import ICMP, ICMPV6, REFUSALS, SCTP, TCP, TWO_WAY_TYPES, UDP, Headers

ETHERNET_HEADER = 14
VLAN_TYPES = (0x8100, 0x88A8, 0x9100)
"""IEEE 802.1Q, 802.1ad, and the pre-standard QinQ type."""
VLAN_TAGS = 2
EXTENSION_HEADERS = 8
"""IPv6 extension headers that are followed; RFC 8200 section 4.1 expects fewer."""

_OK = 0
_CODE = {reason: code for code, reason in enumerate(REFUSALS, start=1)}

Bytes = NDArray[np.uint8]
Index = NDArray[np.int64]


def _table(values: dict[int, int], default: int = 0) -> NDArray[np.int64]:
    column = np.full(256, default, np.int64)
    column[list(values)] = list(values.values())
    return column


_NEEDED = _table({TCP: 20, UDP: 8, ICMP: 4, ICMPV6: 4, SCTP: 12})
"""Transport header bytes that must be there to be read."""
_HEADER = _table({UDP: 8, ICMP: 8, ICMPV6: 8, SCTP: 12})
"""Transport header length, where it is fixed."""
_EXTENSIONS = _table({0: 1, 43: 1, 44: 1, 51: 1, 60: 1}).astype(np.bool_)
"""Hop-by-hop, routing, fragment, authentication, destination options (RFC 8200, RFC 4302)."""

_COUNTERPART = {protocol: _table(types, default=-1) for protocol, types in TWO_WAY_TYPES.items()}


_ADDRESSES = ("source_high", "source_low", "destination_high", "destination_low")


@dataclass(frozen=True, slots=True)
class _Packets:
    """Columns of the frames of one IP version; `rows` are their positions in the block."""

    rows: Index
    refusal: NDArray[np.uint8]
    version: int
    protocol: Bytes
    addresses: tuple[NDArray[np.uint64], ...]
    source_port: NDArray[np.uint16]
    destination_port: NDArray[np.uint16]
    ip_length: Index
    payload_length: Index
    tcp_flags: Bytes


class Decoder:
    """Decodes blocks and counts what it refuses.

    Attributes:
        decoded: packets decoded so far.
        refused: frames refused so far, by reason (`REFUSALS`).
    """

    def __init__(self) -> None:
        self.decoded = 0
        self.refused = dict.fromkeys(REFUSALS, 0)

    def decode(self, block: PacketBlock) -> Headers:
        """Columns of the decodable packets of a block, in order; the rest is counted.

        Args:
            block: Ethernet frames.
        """
        refusal = np.zeros(len(block), np.uint8)
        ethertype, link_header = _link_layer(block, refusal)
        parts = []
        for version, value in ((4, 0x0800), (6, 0x86DD)):
            rows = np.flatnonzero(ethertype == value)
            if rows.size:
                parser = _parse_ipv4 if version == 4 else _parse_ipv6
                packets = parser(block, rows, link_header[rows])
                refusal[rows] = packets.refusal
                parts.append(packets)
        refused = np.bincount(refusal, minlength=len(REFUSALS) + 1)
        for reason, count in zip(REFUSALS, refused[1:].tolist(), strict=True):
            self.refused[reason] += count
        self.decoded += int(refused[0])
        return _merge(block, refusal, parts)


def _link_layer(block: PacketBlock, refusal: NDArray[np.uint8]) -> tuple[NDArray[np.uint16], Index]:
    """Ethertypes (0 where refused, noted in `refusal`) and link header lengths, tags included."""
    header = np.full(len(block), ETHERNET_HEADER, np.int64)
    if not len(block):
        return np.zeros(0, np.uint16), header
    captured = block.captured_length
    words = np.ndarray((block.buffer.size - 1,), ">u2", block.buffer, strides=(1,))
    ethertype = words[block.offset + 12].astype(np.uint16)
    short = captured < ETHERNET_HEADER
    if short.any():
        refusal[short] = _CODE["truncated_frame"]
        ethertype[short] = 0
    tags = (block.vlan_tpid != 0).astype(np.uint8)
    tagged = np.flatnonzero(np.isin(ethertype, VLAN_TYPES))
    while tagged.size:
        tags[tagged] += 1
        deep = tags[tagged] > VLAN_TAGS
        refusal[tagged[deep]] = _CODE["vlan_depth"]
        ethertype[tagged] = 0
        tagged = tagged[~deep]
        header[tagged] += 4
        whole = captured[tagged] >= header[tagged]
        refusal[tagged[~whole]] = _CODE["truncated_frame"]
        tagged = tagged[whole]
        ethertype[tagged] = words[block.offset[tagged] + header[tagged] - 2]
        tagged = tagged[np.isin(ethertype[tagged], VLAN_TYPES)]
    other = (ethertype != 0x0800) & (ethertype != 0x86DD) & (refusal == _OK)
    refusal[other] = _CODE["not_ip"]
    return ethertype, header


def _offloaded(block: PacketBlock, rows: Index, link_header: Index, total: Index) -> Index:
    """Datagram lengths, those that segmentation offload left at 0 taken from the wire length."""
    if total.all():
        return total
    wire = np.maximum(block.wire_length[rows], block.captured_length[rows]) - link_header
    return np.where(total == 0, np.minimum(wire, 65_535), total)


def _gather(buffer: Bytes, start: Index, width: int) -> Bytes:
    """``(packets, width)`` bytes from each start, within the block's `GATHER_BYTES` guarantee."""
    view = np.ndarray((buffer.size - width + 1,), f"V{width}", buffer, strides=(1,))
    gathered: Bytes = view[start].view(np.uint8).reshape(-1, width)
    return gathered


def _gather_far(buffer: Bytes, start: Index, width: int) -> Bytes:
    """The same where the end of the buffer may be near; bytes past it repeat its last one."""
    gathered: Bytes = buffer[np.minimum(start[:, None] + np.arange(width), buffer.size - 1)]
    return gathered


def _parse_ipv4(block: PacketBlock, rows: Index, link_header: Index) -> _Packets:
    """IPv4 (RFC 791)."""
    start = block.offset[rows] + link_header
    available = block.captured_length[rows] - link_header
    head = _gather(block.buffer, start, 40)
    first = head[:, 0]
    header = (first & 15).astype(np.int64) << 2
    total = _offloaded(block, rows, link_header, head[:, 2:4].view(">u2")[:, 0].astype(np.int64))
    refusal = np.zeros(rows.size, np.uint8)
    refusal[available < header] = _CODE["truncated_ip"]
    refusal[((first >> 4) != 4) | (header < 20) | (total < header)] = _CODE["ip_header"]
    refusal[available < 20] = _CODE["truncated_ip"]

    transport = head[:, 20:40]
    options = np.flatnonzero((header > 20) & (refusal == _OK))
    if options.size:
        transport = transport.copy()
        transport[options] = _gather_far(block.buffer, start[options] + header[options], 20)
    later_fragment = (head[:, 6:8].view(">u2")[:, 0] & 0x1FFF) != 0
    protocol = head[:, 9]
    addresses = head[:, 12:20].view(">u4").astype(np.uint64)
    zero = np.zeros(rows.size, np.uint64)
    fields = _parse_transport(
        transport, protocol, total - header, available - header, later_fragment, refusal
    )  # fmt: skip
    return _Packets(
        rows, refusal, 4, protocol, (zero, addresses[:, 0], zero, addresses[:, 1]), *fields[:2],
        total, *fields[2:],
    )  # fmt: skip


def _parse_ipv6(block: PacketBlock, rows: Index, link_header: Index) -> _Packets:
    """IPv6 with its extension headers (RFC 8200)."""
    start = block.offset[rows] + link_header
    available = block.captured_length[rows] - link_header
    head = _gather(block.buffer, start, 60)
    stated = head[:, 4:6].view(">u2")[:, 0].astype(np.int64)
    total = np.where(stated == 0, 0, np.minimum(stated + 40, 65_535))
    total = _offloaded(block, rows, link_header, total)
    refusal = np.zeros(rows.size, np.uint8)
    refusal[(head[:, 0] >> 4) != 6] = _CODE["ip_header"]
    refusal[available < 40] = _CODE["truncated_ip"]

    protocol = head[:, 6].copy()
    header = np.full(rows.size, 40, np.int64)
    later_fragment = np.zeros(rows.size, np.bool_)
    chained = np.flatnonzero(_EXTENSIONS[protocol] & (refusal == _OK))
    transport = head[:, 40:60]
    if chained.size:
        _follow_extensions(
            block.buffer, start, available, chained, protocol, header, later_fragment, refusal
        )
        transport = transport.copy()
        transport[chained] = _gather_far(block.buffer, start[chained] + header[chained], 20)
        refusal[(refusal == _OK) & (total < header)] = _CODE["ip_header"]
    words = np.ascontiguousarray(head[:, 8:40]).view(">u8").astype(np.uint64)
    fields = _parse_transport(
        transport, protocol, total - header, available - header, later_fragment, refusal
    )  # fmt: skip
    return _Packets(rows, refusal, 6, protocol, tuple(words.T), *fields[:2], total, *fields[2:])


def _follow_extensions(
    buffer: Bytes,
    start: Index,
    available: Index,
    chained: Index,
    protocol: Bytes,
    header: Index,
    later_fragment: NDArray[np.bool_],
    refusal: NDArray[np.uint8],
) -> None:
    """Moves `protocol` and `header` of the chained rows past their extension headers, in place."""
    for _ in range(EXTENSION_HEADERS):
        whole = available[chained] >= header[chained] + 8
        refusal[chained[~whole]] = _CODE["truncated_ip"]
        chained = chained[whole]
        kind = protocol[chained]
        lead = _gather_far(buffer, start[chained] + header[chained], 4)
        length = (lead[:, 1].astype(np.int64) + 1) << 3
        length[kind == 51] = (lead[kind == 51, 1].astype(np.int64) + 2) << 2
        length[kind == 44] = 8
        offset = lead[:, 2:4].copy().view(">u2")[:, 0] & 0xFFF8
        later = (kind == 44) & (offset != 0)
        header[chained] += length
        protocol[chained] = lead[:, 0]
        later_fragment[chained] = later
        whole = available[chained] >= header[chained]
        refusal[chained[~whole]] = _CODE["truncated_ip"]
        # what follows a later fragment's header is the middle of something
        chained = chained[whole & ~later]
        chained = chained[_EXTENSIONS[protocol[chained]]]
        if not chained.size:
            return
    refusal[chained] = _CODE["ipv6_extensions"]


def _parse_transport(
    head: Bytes,
    protocol: Bytes,
    stated: Index,
    available: Index,
    later_fragment: NDArray[np.bool_],
    refusal: NDArray[np.uint8],
) -> tuple[NDArray[np.uint16], NDArray[np.uint16], Index, Bytes]:
    """Ports, payload length and TCP flags; refusals are noted in `refusal`.

    Args:
        head: ``(packets, 20)`` first bytes of the transport header.
        protocol: transport of each packet.
        stated: bytes of the datagram after its IP headers.
        available: captured bytes after the IP headers.
        later_fragment: packets without a transport header.
        refusal: codes so far; rows refused before are left alone.
    """
    tcp = protocol == TCP
    needed, header = _NEEDED[protocol], _HEADER[protocol]
    header[tcp] = (head[tcp, 12] >> 4).astype(np.int64) << 2
    if later_fragment.any():
        needed[later_fragment] = header[later_fragment] = 0
        tcp &= ~later_fragment
    short = np.minimum(stated, available) < needed
    short |= tcp & ((header < 20) | (header > stated))
    refusal[short & (refusal == _OK)] = _CODE["truncated_transport"]

    ports = head[:, 0:4].view(">u2").astype(np.uint16)
    source, destination = ports[:, 0], ports[:, 1]
    portless = np.flatnonzero((~tcp & (protocol != UDP) & (protocol != SCTP)) | later_fragment)
    source[portless] = destination[portless] = 0
    for kind, counterpart in _COUNTERPART.items():
        icmp = portless[(protocol[portless] == kind) & ~later_fragment[portless]]
        answer = counterpart[head[icmp, 0]]
        source[icmp] = head[icmp, 0]
        destination[icmp] = np.where(answer >= 0, answer, head[icmp, 1])
    return source, destination, np.maximum(stated - header, 0), head[:, 13] * tcp


def _merge(block: PacketBlock, refusal: NDArray[np.uint8], parts: list[_Packets]) -> Headers:
    """Columns of both IP versions in packet order, without the refused."""
    keep = refusal == _OK
    kept = int(np.count_nonzero(keep))
    place = np.cumsum(keep) - 1
    merged = Headers(
        timestamp_ns=block.timestamp_ns[keep],
        version=np.empty(kept, np.uint8),
        protocol=np.empty(kept, np.uint8),
        source_high=np.empty(kept, np.uint64),
        source_low=np.empty(kept, np.uint64),
        destination_high=np.empty(kept, np.uint64),
        destination_low=np.empty(kept, np.uint64),
        source_port=np.empty(kept, np.uint16),
        destination_port=np.empty(kept, np.uint16),
        ip_length=np.empty(kept, np.uint16),
        payload_length=np.empty(kept, np.uint16),
        tcp_flags=np.empty(kept, np.uint8),
    )
    for part in parts:
        good = slice(None) if not part.refusal.any() else np.flatnonzero(part.refusal == _OK)
        to = place[part.rows[good]]
        merged.version[to] = part.version
        merged.protocol[to] = part.protocol[good]
        for name, words in zip(_ADDRESSES, part.addresses, strict=True):
            getattr(merged, name)[to] = words[good]
        merged.source_port[to] = part.source_port[good]
        merged.destination_port[to] = part.destination_port[good]
        merged.ip_length[to] = part.ip_length[good]
        merged.payload_length[to] = part.payload_length[good]
        merged.tcp_flags[to] = part.tcp_flags[good]
    return merged
