"""Link headers: what each frame carries, and where that begins (`docs/semantics.md` 19).

The common case, a block of nothing but Ethernet, IPv4 and IPv6, costs one gathered word and one
table look-up a frame; everything else is done on the rows that need it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.capture import link_types
from sensor.capture.block import PacketBlock
from sensor.packets.gather import Bytes, Index, gather
from sensor.packets.headers import REFUSAL_CODES

NOT_IP, VLAN, PPPOE, MPLS, IPV4, IPV6, LENGTH, SLOW = 0, 1, 2, 3, 4, 6, 8, 9
"""What follows the link header. The two IP versions are their own numbers, and the only ones with
the bit `IP`. `LENGTH` is an IEEE 802.3 length in place of a type, `SLOW` is left to the slow path.
"""
IP = 4

_ETHERTYPES = {
    0x0800: IPV4,
    0x86DD: IPV6,
    0x8100: VLAN,  # IEEE 802.1Q
    0x88A8: VLAN,  # IEEE 802.1ad
    0x9100: VLAN,  # QinQ before that standard
    0x8864: PPPOE,  # RFC 2516, session stage
    0x8847: MPLS,  # RFC 3032
    0x8848: MPLS,  # RFC 5332, a multicast's or upstream-assigned label
}
_LENGTHS = 1_501
"""Numbers below are lengths of IEEE 802.3 frames."""


def _kinds() -> Bytes:
    kinds = np.zeros(65_536, np.uint8)
    kinds[:_LENGTHS] = LENGTH
    kinds[list(_ETHERTYPES)] = list(_ETHERTYPES.values())
    return kinds


KIND = _kinds()
"""``(65536,)`` what an ethertype stands for."""

_ETHERTYPE_AT = {link_types.ETHERNET: (14, 12), link_types.SLL: (16, 14), link_types.SLL2: (20, 0)}
"""Header length and position of the ethertype."""
_FAMILY_IN = {link_types.NULL: (">u4", "<u4"), link_types.LOOP: (">u4",)}
"""Byte orders of the address family that is all of the header."""
_FAMILIES = {2: IPV4, 10: IPV6, 24: IPV6, 28: IPV6, 30: IPV6}
"""AF_INET everywhere; AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin."""
_VERSION_IS = {link_types.IPV4: IPV4, link_types.IPV6: IPV6}
_RAW = frozenset({link_types.RAW, link_types.RAW_12, link_types.RAW_14})
_SNAP = np.array([0xAA, 0xAA, 0x03], np.uint8)
"""IEEE 802.2 addresses and control field of a frame with a SNAP header."""
_SLOW = frozenset({link_types.PPP, link_types.PPP_HDLC, link_types.PPP_ETHER, link_types.C_HDLC})


@dataclass(slots=True)
class Links:
    """What is known of each frame of a block before its IP header is read.

    Attributes:
        kind: ``(frames,)`` what follows the bytes that were read; in the end `IPV4`, `IPV6`, or
            `NOT_IP` where the frame is refused.
        length: ``(frames,)`` bytes that were read, in the end all that lies before the IP header.
        refusal: ``(frames,)`` `REFUSAL_CODES`, `DECODED` so far.
    """

    kind: NDArray[np.uint8]
    length: Index
    refusal: NDArray[np.uint8]

    def refuse(self, rows: Index, reason: str) -> None:
        """Notes why frames are not decoded."""
        self.kind[rows] = NOT_IP
        self.refusal[rows] = REFUSAL_CODES[reason]


def read_links(block: PacketBlock) -> Links:
    """Link headers of a block; tags and labels behind them are left to `encapsulation`."""
    frames = len(block)
    links = Links(
        np.zeros(frames, np.uint8), np.zeros(frames, np.int64), np.zeros(frames, np.uint8)
    )
    for link_type, rows in _by_type(block.link_type):
        if link_type in _ETHERTYPE_AT:
            _read_ethertypes(block, links, rows, link_type)
        elif link_type in _FAMILY_IN:
            _read_families(block, links, rows, link_type)
        elif link_type in _VERSION_IS:
            links.kind[rows] = _VERSION_IS[link_type]
        elif link_type in _RAW:
            read_version(block, links, rows)
        elif link_type in _SLOW:
            links.kind[rows] = SLOW
        else:
            links.refuse(rows, "link_type")
    return links


def whole(block: PacketBlock, links: Links, rows: Index, beyond: int = 0) -> Index:
    """Those of the rows that hold `beyond` bytes after what was read; the others are refused."""
    held = block.captured_length[rows] >= links.length[rows] + beyond
    links.refuse(rows[~held], "truncated_frame")
    return rows[held]


def read_version(block: PacketBlock, links: Links, rows: Index) -> None:
    """The IP version from the first four bits where nothing before the header states it."""
    rows = whole(block, links, rows, beyond=1)
    version = block.buffer[block.offset[rows] + links.length[rows]] >> 4
    links.kind[rows] = np.where((version == IPV4) | (version == IPV6), version, NOT_IP)


def _by_type(column: NDArray[np.uint16]) -> Iterator[tuple[int, Index]]:
    """Link types of a block and the rows that have them."""
    if not column.size:
        return
    first = int(column[0])
    # a column of stride 0 repeats one value: `sensor.capture.block.one_link_type`
    if column.strides == (0,) or (column == first).all():
        yield first, np.arange(column.size)
        return
    for link_type in np.unique(column).tolist():
        yield link_type, np.flatnonzero(column == link_type)


def _read_ethertypes(block: PacketBlock, links: Links, rows: Index, link_type: int) -> None:
    header, at = _ETHERTYPE_AT[link_type]
    words = np.ndarray((block.buffer.size - 1,), ">u2", block.buffer, strides=(1,))
    chosen = slice(None) if rows.size == len(block) else rows
    kind = KIND[words[block.offset[chosen] + at]]
    links.kind[chosen] = kind
    links.length[chosen] = header
    if link_type == link_types.ETHERNET:
        _find_snap(block, links, rows[kind == LENGTH])
    short = block.captured_length[chosen] < header
    if short.any():
        links.refuse(rows[short], "truncated_frame")


def _find_snap(block: PacketBlock, links: Links, rows: Index) -> None:
    """Leaves to the slow path what has a length, then LLC with a SNAP header (RFC 1042)."""
    rows = rows[(block.captured_length[rows] >= 17) & (block.vlan_tpid[rows] == 0)]
    llc = gather(block.buffer, block.offset[rows] + 14, 3)
    links.kind[rows[(llc == _SNAP).all(axis=1)]] = SLOW


def _read_families(block: PacketBlock, links: Links, rows: Index, link_type: int) -> None:
    links.length[rows] = 4
    rows = whole(block, links, rows)
    family = gather(block.buffer, block.offset[rows], 4)
    for order in _FAMILY_IN[link_type]:
        number = family.view(order)[:, 0]
        for value, kind in _FAMILIES.items():
            links.kind[rows[number == value]] = kind
