"""Where the IP header lies in frames of the slow path, by dpkt (`docs/semantics.md` 19).

dpkt is given the bytes of the link header and no more: what it would make of the packet behind
them costs time, and nested tunnels would recurse.
"""

from collections.abc import Callable

from dpkt import pppoe
from dpkt.dpkt import NeedData
from dpkt.llc import LLC
from dpkt.ppp import PPP

from sensor.capture import link_types
from sensor.packets.link import IPV4, IPV6, NOT_IP

HEADER_BYTES = 22
"""The longest header that is read: Ethernet with LLC and SNAP."""

_FRAMED = b"\xff\x03"
"""Address and control field of PPP in HDLC-like framing, RFC 1662 section 3.1."""
_CISCO_ADDRESSES = (0x0F, 0x8F)
"""Unicast and multicast address of Cisco's HDLC, which no PPP frame begins with."""

_PPP_PROTOCOLS = {0x21: IPV4, 0x57: IPV6}
_ETHERTYPES = {0x0800: IPV4, 0x86DD: IPV6}

Found = tuple[int, int]
"""What follows (`IPV4`, `IPV6` or `NOT_IP`), and how many bytes lie before it."""


def find_ip(link_type: int, octets: bytes) -> tuple[int, int, str]:
    """Reads the header of a frame.

    Args:
        link_type: of the frame; Ethernet stands for LLC with SNAP.
        octets: the first `HEADER_BYTES` captured bytes, or all if there are fewer.

    Returns:
        What follows (`IPV4`, `IPV6` or `NOT_IP`), how many bytes lie before it, and for `NOT_IP`
        the reason of the refusal.
    """
    try:
        return *_FIND[link_type](octets), "not_ip"
    except NeedData:
        return NOT_IP, 0, "truncated_frame"


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
    if len(octets) < HEADER_BYTES:
        raise NeedData
    return _ETHERTYPES.get(LLC(octets[14:HEADER_BYTES]).type, NOT_IP), HEADER_BYTES


_FIND: dict[int, Callable[[bytes], Found]] = {
    link_types.ETHERNET: _snap,
    link_types.PPP: _ppp,
    link_types.PPP_HDLC: _ppp,
    link_types.PPP_ETHER: _ppp_ethernet,
    link_types.C_HDLC: _cisco_hdlc,
}
