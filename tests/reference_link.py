"""What lies before the IP header: rules 19 and 20 of `docs/semantics.md`, with dpkt's headers.

dpkt's constructors descend by themselves, and answer other questions than the rules ask: they
swallow what they can't read, guess behind MPLS, follow at most two tags of one kind, cut 802.3
frames by their length field, and never say where a header begins. So each header is read alone,
by dpkt's layout of it (`header`), and what follows which is written here.
"""

from typing import Any

import dpkt

NULL, ETHERNET, LOOP, SLL, SLL2 = 0, 1, 108, 113, 276
PPP, PPP_HDLC, PPP_ETHER, C_HDLC = 9, 50, 51, 104
RAW = (12, 14, 101)
STATED = {228: 4, 229: 6}
FAMILIES = {2: 4, 10: 6, 24: 6, 28: 6, 30: 6}
TAGS = (0x8100, 0x88A8, 0x9100)
IP_ETHERTYPES = {0x0800: 4, 0x86DD: 6}
IP_PROTOCOLS = {0x21: 4, 0x57: 6}
PPPOE, MPLS = 0x8864, (0x8847, 0x8848)


class Refused(Exception):  # noqa: N818 - an outcome, not an error
    """The frame is not decoded; its argument is the reason."""


def header(kind: Any, octets: bytes, reason: str) -> Any:
    """One header as dpkt lays it out, `data` being all that follows.

    The header's own `unpack` is passed by, because it would go on to the next layer.

    Raises:
        Refused: for `reason`, if not all of the header was captured.
    """
    if len(octets) < kind.__hdr_len__:
        raise Refused(reason)
    read = kind.__new__(kind)
    dpkt.Packet.unpack(read, octets)
    return read


def takes_slow_path(frame: bytes, link_type: int, stripped_tags: int) -> bool:
    """Whether the frame is one of those of which only some are looked at in a second."""
    if link_type in (PPP, PPP_HDLC, PPP_ETHER, C_HDLC):
        return True
    length = int.from_bytes(frame[12:14], "big")
    snap = length <= 1_500 and frame[14:17] == b"\xaa\xaa\x03"
    return link_type == ETHERNET and snap and not stripped_tags


def find_datagram(frame: bytes, link_type: int, stripped_tags: int) -> tuple[int, bytes]:
    """Version that is stated for the IP header, and the captured bytes from there on."""
    if link_type == ETHERNET:
        link = header(dpkt.ethernet.Ethernet, frame, "truncated_frame")
        if takes_slow_path(frame, link_type, stripped_tags):
            return _snap(link.data)
        return _after_ethertype(link.type, link.data, stripped_tags)
    if link_type in (SLL, SLL2):
        kind = dpkt.sll.SLL if link_type == SLL else dpkt.sll2.SLL2
        link = header(kind, frame, "truncated_frame")
        return _after_ethertype(link.ethtype, link.data, stripped_tags)
    if link_type in (NULL, LOOP):
        return _loopback(frame, link_type)
    if link_type in RAW:
        return _by_first_bits(frame)
    if link_type in STATED:
        return STATED[link_type], frame
    if link_type == PPP_ETHER:
        return _pppoe_of_slow_path(frame)
    if link_type == C_HDLC:
        return _cisco_hdlc(frame)
    if link_type in (PPP, PPP_HDLC):
        return _cisco_hdlc(frame) if frame[:1] in (b"\x0f", b"\x8f") else _ppp(frame)
    raise Refused("link_type")


def _after_ethertype(ethertype: int, rest: bytes, tags: int) -> tuple[int, bytes]:
    while ethertype in TAGS:
        if tags == 2:
            raise Refused("vlan_depth")
        tags += 1
        tag = header(dpkt.ethernet.VLANtag8021Q, rest, "truncated_frame")
        ethertype, rest = tag.type, tag.data
    if ethertype == PPPOE:
        # dpkt.pppoe.PPP reads a protocol of one byte too, which RFC 2516 does not allow here.
        if len(rest) < 8:
            raise Refused("truncated_frame")
        session = header(dpkt.pppoe.PPPoE, rest, "truncated_frame")
        if (session.v, session.type, session.code) != (1, 1, 0):
            raise Refused("not_ip")
        protocol, rest = int.from_bytes(session.data[:2], "big"), session.data[2:]
        ethertype = {0x0021: 0x0800, 0x0057: 0x86DD, 0x0281: MPLS[0]}.get(protocol, 0)
    if ethertype in MPLS:
        for _ in range(8):
            label = header(dpkt.ethernet.MPLSlabel, rest, "truncated_frame")
            rest = label.data
            if label.s:
                return _by_first_bits(rest)
        raise Refused("mpls_depth")
    return _plain(ethertype, rest)


def _plain(ethertype: int, rest: bytes) -> tuple[int, bytes]:
    if ethertype not in IP_ETHERTYPES:
        raise Refused("not_ip")
    return IP_ETHERTYPES[ethertype], rest


def _by_first_bits(rest: bytes) -> tuple[int, bytes]:
    if not rest:
        raise Refused("truncated_frame")
    version = rest[0] >> 4
    if version not in (4, 6):
        raise Refused("not_ip")
    return version, rest


def _loopback(frame: bytes, link_type: int) -> tuple[int, bytes]:
    link = header(dpkt.loopback.Loopback, frame, "truncated_frame")
    # dpkt reads the family in this machine's order, LOOP states network order, and dpkt does not
    # know Linux's 10: so the bytes are taken again.
    orders = ("big",) if link_type == LOOP else ("big", "little")
    for order in orders:
        family = int.from_bytes(frame[:4], order)
        if family in FAMILIES:
            return FAMILIES[family], link.data
    raise Refused("not_ip")


def _snap(rest: bytes) -> tuple[int, bytes]:
    link = header(dpkt.llc.LLC, rest, "truncated_frame")
    # dpkt unpacks the five bytes of SNAP without a look at how many there are.
    if len(link.data) < 5:
        raise Refused("truncated_frame")
    return _plain(int.from_bytes(link.data[3:5], "big"), link.data[5:])


def _cisco_hdlc(frame: bytes) -> tuple[int, bytes]:
    # dpkt has no Cisco HDLC: address, control, and an ethertype.
    if len(frame) < 4:
        raise Refused("truncated_frame")
    return _plain(int.from_bytes(frame[2:4], "big"), frame[4:])


def _ppp(frame: bytes) -> tuple[int, bytes]:
    # dpkt.ppp.PPP takes the first two bytes for address and control, whatever they are.
    protocol, rest = _ppp_protocol(frame[2:] if frame[:2] == b"\xff\x03" else frame)
    if protocol not in IP_PROTOCOLS:
        raise Refused("not_ip")
    return IP_PROTOCOLS[protocol], rest


def _pppoe_of_slow_path(frame: bytes) -> tuple[int, bytes]:
    session = header(dpkt.pppoe.PPPoE, frame, "truncated_frame")
    protocol, rest = _ppp_protocol(session.data)
    if (session.v, session.type, session.code) != (1, 1, 0) or protocol not in IP_PROTOCOLS:
        raise Refused("not_ip")
    return IP_PROTOCOLS[protocol], rest


def _ppp_protocol(octets: bytes) -> tuple[int, bytes]:
    size = 1 if octets and octets[0] & 1 else 2
    if len(octets) < size:
        raise Refused("truncated_frame")
    return int.from_bytes(octets[:size], "big"), octets[size:]
