"""VLAN tags, PPPoE and MPLS between the link header and IP (`docs/semantics.md` 20).

Each is followed on the rows that have it, in passes whose number is limited.
"""

import numpy as np

from sensor.capture.block import PacketBlock
from sensor.packets.gather import Index, gather_far, words_of
from sensor.packets.headers import DECODED
from sensor.packets.link import (
    IP,
    IPV4,
    IPV6,
    KIND,
    MPLS,
    NOT_IP,
    PPPOE,
    VLAN,
    Links,
    read_version,
    whole,
)

VLAN_TAGS = 2
MPLS_LABELS = 8

_PPP_PROTOCOLS = {0x0021: IPV4, 0x0057: IPV6, 0x0281: MPLS}
"""RFC 1332, RFC 5072, RFC 3032 section 4.3."""


def strip(block: PacketBlock, links: Links) -> None:
    """Moves `links` past tags and labels; what then is not IP is refused, in place."""
    rows = np.flatnonzero((links.kind & IP) == 0)
    if not rows.size:
        return
    _strip_vlan(block, links, rows[links.kind[rows] == VLAN])
    _strip_pppoe(block, links, rows[links.kind[rows] == PPPOE])
    _strip_mpls(block, links, rows[links.kind[rows] == MPLS])
    other = ((links.kind[rows] & IP) == 0) & (links.refusal[rows] == DECODED)
    links.refuse(rows[other], "not_ip")


def _strip_vlan(block: PacketBlock, links: Links, rows: Index) -> None:
    words = np.ndarray((block.buffer.size - 1,), ">u2", block.buffer, strides=(1,))
    # a tag that the kernel took off the frame was the outermost
    tags = (block.vlan_tpid[rows] != 0).astype(np.int64)
    while rows.size:
        deep = tags == VLAN_TAGS
        if deep.any():
            links.refuse(rows[deep], "vlan_depth")
            rows, tags = rows[~deep], tags[~deep]
        links.length[rows] += 4
        held = whole(block, links, rows)
        if held.size < rows.size:
            tags = tags[np.isin(rows, held)]
            rows = held
        links.kind[rows] = KIND[words[block.offset[rows] + links.length[rows] - 2]]
        again = links.kind[rows] == VLAN
        rows, tags = rows[again], tags[again] + 1


def _strip_pppoe(block: PacketBlock, links: Links, rows: Index) -> None:
    links.length[rows] += 8
    rows = whole(block, links, rows)
    header = gather_far(block.buffer, block.offset[rows] + links.length[rows] - 8, 8)
    # version 1, type 1, and the code of session data (RFC 2516 section 4)
    session = (header[:, 0] == 0x11) & (header[:, 1] == 0)
    protocol = words_of(header, 6)
    links.kind[rows] = NOT_IP
    for number, kind in _PPP_PROTOCOLS.items():
        links.kind[rows[session & (protocol == number)]] = kind


def _strip_mpls(block: PacketBlock, links: Links, rows: Index) -> None:
    for _ in range(MPLS_LABELS):
        if not rows.size:
            return
        links.length[rows] += 4
        rows = whole(block, links, rows)
        bottom = (block.buffer[block.offset[rows] + links.length[rows] - 2] & 1) != 0
        read_version(block, links, rows[bottom])
        rows = rows[~bottom]
    links.refuse(rows, "mpls_depth")
