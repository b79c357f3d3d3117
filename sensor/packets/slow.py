"""The slow path: dpkt reads the headers before IP, frame by frame (`docs/semantics.md` 19).

It is for links that a gateway hardly ever has. dpkt is given the bytes of the link header and no
more: what it would make of the packet behind them costs time, and nested tunnels would recurse.
The number of frames in each second of packet time is limited, so nobody can slow the sensor down.
"""

from collections.abc import Callable

import numpy as np
from dpkt import pppoe
from dpkt.dpkt import NeedData
from dpkt.llc import LLC
from dpkt.ppp import PPP

from sensor.capture import link_types
from sensor.capture.block import PacketBlock
from sensor.packets.headers import REFUSAL_CODES
from sensor.packets.link import IPV4, IPV6, NOT_IP, SLOW, Links

SLOW_FRAMES = 1_000
"""Frames in each second of packet time that take the slow path: some milliseconds of work."""

SECOND_NS = 1_000_000_000
CLOCK_STEP_NS = 10 * SECOND_NS
"""A frame that is this much older than an earlier one tells that the clock was set back."""

_HEADER_BYTES = 22
"""The longest header that is read: Ethernet with LLC and SNAP."""

_FRAMED = b"\xff\x03"
"""Address and control field of PPP in HDLC-like framing, RFC 1662 section 3.1."""
_CISCO_ADDRESSES = (0x0F, 0x8F)
"""Unicast and multicast address of Cisco's HDLC, which no PPP frame begins with."""

_PPP_PROTOCOLS = {0x21: IPV4, 0x57: IPV6}
_ETHERTYPES = {0x0800: IPV4, 0x86DD: IPV6}

Found = tuple[int, int]
"""What follows (`IPV4`, `IPV6` or `NOT_IP`), and how many bytes lie before it."""


class SlowPath:
    """Finds the IP header in frames that are left to it, as many as a second allows.

    Attributes:
        frames: how many it has looked at.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._latest_ns = -(1 << 63)
        self._in_second = 0

    def read(self, block: PacketBlock, links: Links) -> None:
        """Completes `links` where they say `SLOW`, in place."""
        rows = np.flatnonzero(links.kind == SLOW)
        if not rows.size:
            return
        admitted = np.array([self._admit(time) for time in block.timestamp_ns[rows].tolist()])
        links.refuse(rows[~admitted], "slow_path_limit")
        rows = rows[admitted]
        self.frames += rows.size
        columns = (rows, block.offset[rows], block.captured_length[rows], block.link_type[rows])
        for row, offset, captured, link_type in zip(*(c.tolist() for c in columns), strict=True):
            octets = block.buffer[offset : offset + min(captured, _HEADER_BYTES)].tobytes()
            try:
                links.kind[row], links.length[row] = _FIND[link_type](octets)
                reason = "not_ip"
            except NeedData:
                links.kind[row], reason = NOT_IP, "truncated_frame"
            if links.kind[row] == NOT_IP:
                links.refusal[row] = REFUSAL_CODES[reason]

    def _admit(self, time_ns: int) -> bool:
        """Whether the second of a frame has room left."""
        if time_ns // SECOND_NS > self._latest_ns // SECOND_NS or (
            time_ns < self._latest_ns - CLOCK_STEP_NS
        ):
            self._in_second = 0
            self._latest_ns = time_ns
        self._latest_ns = max(time_ns, self._latest_ns)
        self._in_second += 1
        return self._in_second <= SLOW_FRAMES


def _ppp(octets: bytes) -> Found:
    if octets[:1] and octets[0] in _CISCO_ADDRESSES:
        return _cisco_hdlc(octets)
    missing = b"" if octets[:2] == _FRAMED else _FRAMED
    # dpkt takes the address and control field for granted
    octets = missing + octets
    header = PPP(octets[:4])
    return _PPP_PROTOCOLS.get(header.p, NOT_IP), (3 if octets[2] & 1 else 4) - len(missing)


def _ppp_ethernet(octets: bytes) -> Found:
    session = pppoe.PPPoE(octets[:6])
    header = pppoe.PPP(octets[6:8])
    if (session.v, session.type, session.code) != (1, 1, 0):
        return NOT_IP, 0
    return _PPP_PROTOCOLS.get(header.p, NOT_IP), 7 if octets[6] & 1 else 8


def _cisco_hdlc(octets: bytes) -> Found:
    # dpkt does not know this one: address, control, ethertype (RFC 1547 section 4.3.1)
    if len(octets) < 4:
        raise NeedData
    return _ETHERTYPES.get(int.from_bytes(octets[2:4], "big"), NOT_IP), 4


def _snap(octets: bytes) -> Found:
    if len(octets) < _HEADER_BYTES:
        raise NeedData
    return _ETHERTYPES.get(LLC(octets[14:_HEADER_BYTES]).type, NOT_IP), _HEADER_BYTES


_FIND: dict[int, Callable[[bytes], Found]] = {
    link_types.ETHERNET: _snap,
    link_types.PPP: _ppp,
    link_types.PPP_HDLC: _ppp,
    link_types.PPP_ETHER: _ppp_ethernet,
    link_types.C_HDLC: _cisco_hdlc,
}
