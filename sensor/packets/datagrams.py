"""IPv4, IPv6 and IP in IP (`docs/semantics.md` 21 to 23).

Each layer of IP is read for all packets of one version at once; packets in which another IP header
follows go into the next layer, of which there are few and usually none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import PacketBlock
from sensor.packets.gather import Bytes, Index, by_number, gather, gather_far, words_of
from sensor.packets.headers import DECODED, REFUSAL_CODES
from sensor.packets.link import IPV4, IPV6, Links

TUNNELS = 2
"""IP headers inside others that are followed."""
EXTENSION_HEADERS = 8
"""IPv6 extension headers that are followed; RFC 8200 section 4.1 expects fewer."""
TRANSPORT_BYTES = 20
"""Bytes that are gathered after the IP headers: a TCP header without options."""
STRIPPED = 255
"""In `Datagrams.refusal`: neither decoded nor refused, as the next layer has its inner header."""

HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60
_EXTENSIONS = by_number(
    dict.fromkeys((HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION), 1)
).astype(np.bool_)
"""RFC 8200 section 4, RFC 4302."""
_INNER = by_number({4: IPV4, 41: IPV6}).astype(np.uint8)
"""IP version of the header that follows, by protocol (RFC 2003, RFC 2473, RFC 4213)."""

_WHOLE, _FIRST, _LATER = 0, 1, 2

KEY_BYTES = 37
"""Version, both addresses, identification and, for IPv4, protocol."""


@dataclass(frozen=True, slots=True)
class Fragments:
    """Those of a layer's packets that are first or later fragments; columns of that length.

    Attributes:
        rows: positions in the block.
        later: bool, whether the fragment is not the first one.
        key: ``(fragments, KEY_BYTES)`` what all fragments of a datagram share.
    """

    rows: Index
    later: NDArray[np.bool_]
    key: Bytes


@dataclass(slots=True)
class Datagrams:
    """Packets of one IP version in one layer; all columns of length ``packets``.

    Attributes:
        rows: positions in the block.
        refusal: `REFUSAL_CODES`, `DECODED` or `STRIPPED`.
        version: 4 or 6.
        link: bytes before the IP header.
        captured: captured bytes from there on, those after the end of an outer IP packet left out.
        header: length of the IP headers.
        total: the decoded ``ip_length``.
        protocol: what follows the IP headers.
        ttl: time to live or hop limit, a view that is copied if somebody asks for it.
        addresses: high and low word of the source, then of the destination.
        transport: ``(packets, TRANSPORT_BYTES)`` first bytes after the IP headers.
        later: positions in these columns of later fragments.
        fragments: the fragments, or none.
    """

    rows: Index
    refusal: NDArray[np.uint8]
    version: int
    link: Index
    captured: Index
    header: Index
    total: Index
    protocol: Bytes
    ttl: Bytes
    addresses: tuple[NDArray[np.uint64], ...]
    transport: Bytes
    later: Index = field(default_factory=lambda: np.zeros(0, np.int64))
    fragments: Fragments | None = None


@dataclass(frozen=True, slots=True)
class _Layer:
    """Where IP headers of one version begin; columns as in `Datagrams`."""

    version: int
    rows: Index
    link: Index
    captured: Index
    # the first layer lies within the bytes that a block guarantees for every frame
    gather: Callable[[Bytes, Index, int], Bytes]


def read_datagrams(block: PacketBlock, links: Links) -> list[Datagrams]:
    """All layers of IP, outer ones first; a row of `STRIPPED` occurs again in a later entry."""
    layers = []
    for version in (IPV4, IPV6):
        rows = np.flatnonzero(links.kind == version)
        if rows.size:
            link = links.length[rows]
            layers.append(_Layer(version, rows, link, block.captured_length[rows] - link, gather))
    found = []
    for depth in range(TUNNELS + 1):
        read = [_PARSERS[layer.version](block, layer) for layer in layers]
        found += read
        layers = [inner for datagrams in read for inner in _inner(datagrams, depth)]
    return found


def _inner(datagrams: Datagrams, depth: int) -> Iterator[_Layer]:
    """What is inside of the packets that carry another IP header."""
    version = _INNER[datagrams.protocol]
    if not version.any():
        return
    version[datagrams.later] = 0
    version[datagrams.refusal != DECODED] = 0
    if depth == TUNNELS:
        datagrams.refusal[version != 0] = REFUSAL_CODES["tunnel_depth"]
        return
    datagrams.refusal[version != 0] = STRIPPED
    for number in (IPV4, IPV6):
        at = np.flatnonzero(version == number)
        if at.size:
            header = datagrams.header[at]
            captured = np.minimum(datagrams.captured[at], datagrams.total[at]) - header
            link = datagrams.link[at] + header
            yield _Layer(number, datagrams.rows[at], link, captured, gather_far)


def _ipv4(block: PacketBlock, layer: _Layer) -> Datagrams:
    """IPv4 (RFC 791)."""
    start = block.offset[layer.rows] + layer.link
    head = layer.gather(block.buffer, start, 40)
    header = (head[:, 0] & 15).astype(np.int64) << 2
    stated = words_of(head, 2).astype(np.int64)
    refusal = np.zeros(layer.rows.size, np.uint8)
    refusal[layer.captured < header] = REFUSAL_CODES["truncated_ip"]
    wrong = ((head[:, 0] >> 4) != IPV4) | (header < 20) | ((stated < header) & (stated != 0))
    refusal[wrong] = REFUSAL_CODES["ip_header"]
    refusal[layer.captured < 20] = REFUSAL_CODES["truncated_ip"]

    words = head[:, 12:20].view(">u4").astype(np.uint64)
    zero = np.zeros(layer.rows.size, np.uint64)
    datagrams = Datagrams(
        rows=layer.rows,
        refusal=refusal,
        version=IPV4,
        link=layer.link,
        captured=layer.captured,
        header=header,
        total=_total(block, layer, stated),
        protocol=head[:, 9],
        ttl=head[:, 8],
        addresses=(zero, words[:, 0], zero, words[:, 1]),
        transport=head[:, 20:40],
    )
    options = np.flatnonzero((header > 20) & (refusal == DECODED))
    if options.size:
        _gather_transport(block, datagrams, start, options)
    # the flag "more fragments" and the offset (RFC 791 section 3.1)
    part = words_of(head, 6) & 0x3FFF
    if part.any():
        at = np.flatnonzero((part != 0) & (refusal == DECODED))
        key = np.zeros((at.size, KEY_BYTES), np.uint8)
        key[:, 0] = IPV4
        key[:, 1:9], key[:, 9:11], key[:, 11] = head[at, 12:20], head[at, 4:6], head[at, 9]
        _note_fragments(datagrams, at, (part[at] & 0x1FFF) != 0, key)
    return datagrams


def _ipv6(block: PacketBlock, layer: _Layer) -> Datagrams:
    """IPv6 (RFC 8200)."""
    start = block.offset[layer.rows] + layer.link
    head = layer.gather(block.buffer, start, 60)
    stated = words_of(head, 4).astype(np.int64)
    refusal = np.zeros(layer.rows.size, np.uint8)
    refusal[(head[:, 0] >> 4) != IPV6] = REFUSAL_CODES["ip_header"]
    refusal[layer.captured < 40] = REFUSAL_CODES["truncated_ip"]
    words = np.ascontiguousarray(head[:, 8:40]).view(">u8").astype(np.uint64)
    datagrams = Datagrams(
        rows=layer.rows,
        refusal=refusal,
        version=IPV6,
        link=layer.link,
        captured=layer.captured,
        header=np.full(layer.rows.size, 40, np.int64),
        total=_total(block, layer, np.where(stated == 0, 0, np.minimum(stated + 40, 65_535))),
        protocol=head[:, 6].copy(),
        ttl=head[:, 7],
        addresses=tuple(words.T),
        transport=head[:, 40:60],
    )
    chained = np.flatnonzero(_EXTENSIONS[datagrams.protocol] & (refusal == DECODED))
    if chained.size:
        fragment, identification = _follow_extensions(block.buffer, datagrams, start, chained)
        _gather_transport(block, datagrams, start, chained)
        beyond = (refusal == DECODED) & (datagrams.total < datagrams.header)
        refusal[beyond] = REFUSAL_CODES["ip_header"]
        at = np.flatnonzero((fragment != _WHOLE) & (refusal == DECODED))
        key = np.zeros((at.size, KEY_BYTES), np.uint8)
        key[:, 0] = IPV6
        key[:, 1:33], key[:, 33:37] = head[at, 8:40], identification[at]
        _note_fragments(datagrams, at, fragment[at] == _LATER, key)
    return datagrams


_PARSERS = {IPV4: _ipv4, IPV6: _ipv6}


def _total(block: PacketBlock, layer: _Layer, stated: Index) -> Index:
    """Lengths of packets, those that segmentation offload left at 0 from the wire length."""
    if stated.all():
        return stated
    wire = np.maximum(block.wire_length[layer.rows], block.captured_length[layer.rows])
    return np.where(stated == 0, np.minimum(wire - layer.link, 65_535), stated)


def _gather_transport(block: PacketBlock, datagrams: Datagrams, start: Index, at: Index) -> None:
    """Replaces `transport` where options or extensions lie before it."""
    behind = gather_far(block.buffer, start[at] + datagrams.header[at], TRANSPORT_BYTES)
    datagrams.transport = datagrams.transport.copy()
    datagrams.transport[at] = behind


def _note_fragments(datagrams: Datagrams, at: Index, later: NDArray[np.bool_], key: Bytes) -> None:
    if at.size:
        datagrams.later = at[later]
        datagrams.fragments = Fragments(datagrams.rows[at], later, key)


def _follow_extensions(
    buffer: Bytes, datagrams: Datagrams, start: Index, chained: Index
) -> tuple[Bytes, Bytes]:
    """Moves the chained rows past their extension headers, in place.

    Returns:
        fragment: ``(packets,)`` `_WHOLE`, `_FIRST` or `_LATER`.
        identification: ``(packets, 4)`` of the header that makes the packet a fragment.
    """
    protocol, header, refusal = datagrams.protocol, datagrams.header, datagrams.refusal
    captured = datagrams.captured
    fragment = np.zeros(protocol.size, np.uint8)
    identification = np.zeros((protocol.size, 4), np.uint8)
    for _ in range(EXTENSION_HEADERS):
        held = captured[chained] >= header[chained] + 8
        refusal[chained[~held]] = REFUSAL_CODES["truncated_ip"]
        chained = chained[held]
        kind = protocol[chained]
        lead = gather_far(buffer, start[chained] + header[chained], 8)
        units = lead[:, 1].astype(np.int64)
        length = np.where(kind == AUTHENTICATION, (units + 2) << 2, (units + 1) << 3)
        length[kind == FRAGMENT] = 8
        header[chained] += length
        protocol[chained] = lead[:, 0]
        held = captured[chained] >= header[chained]
        refusal[chained[~held]] = REFUSAL_CODES["truncated_ip"]

        part = np.where(kind == FRAGMENT, words_of(lead, 2), 0)
        later = (part & 0xFFF8) != 0
        noted = later | (((part & 1) != 0) & (fragment[chained] == _WHOLE))
        fragment[chained[noted]] = _FIRST
        fragment[chained[later]] = _LATER
        identification[chained[noted]] = lead[noted, 4:8]
        # what follows a later fragment's header is the middle of something
        chained = chained[held & ~later]
        chained = chained[_EXTENSIONS[protocol[chained]]]
        if not chained.size:
            break
    refusal[chained] = REFUSAL_CODES["ipv6_extensions"]
    return fragment, identification
