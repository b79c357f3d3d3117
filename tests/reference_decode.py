"""A plain second reading of the wire formats: rules 19 to 23 of `docs/semantics.md`, by frame.

Nothing of the sensor is imported. The vectorized decoder is held against this, and this against
dpkt and the Community ID baseline (`tests/sensor/test_reference.py`).
"""

from typing import NamedTuple

TCP, UDP, SCTP, ICMP, ICMPV6 = 6, 17, 132, 1, 58

COUNTERPARTS = {
    ICMP: {0: 8, 8: 0, 9: 10, 10: 9, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17},
    ICMPV6: {a + b: a + 1 - b for a in (128, 130, 133, 135, 139, 144) for b in (0, 1)},
}
"""Two-way messages and their answers, Community ID specification."""


class Packet(NamedTuple):
    """A decoded packet: the columns of `Headers`, less the time."""

    version: int
    protocol: int
    source: int
    destination: int
    source_port: int
    destination_port: int
    ip_length: int
    payload_length: int
    tcp_flags: int


def decode_reference(frame: bytes, wire_length: int, stripped_tags: int = 0) -> Packet | str:
    """The headers of an Ethernet frame, or the reason why it is refused.

    Rules 19 to 23 of `docs/semantics.md`, in their order: two VLAN tags at most, later fragments
    without ports, at most eight IPv6 extension headers, transport headers within both the captured
    bytes and the datagram's stated length.

    Args:
        frame: the captured bytes.
        wire_length: bytes on the wire; counts as at least `len(frame)`.
        stripped_tags: VLAN tags that the kernel took off the frame.
    """
    if len(frame) < 14:
        return "truncated_frame"
    at, tags = 12, stripped_tags
    while (ethertype := _u16(frame, at)) in (0x8100, 0x88A8, 0x9100):
        tags += 1
        if tags > 2:
            return "vlan_depth"
        at += 4
        if len(frame) < at + 2:
            return "truncated_frame"
    at += 2
    datagram = frame[at:]
    on_wire = min(max(wire_length, len(frame)) - at, 65_535)
    if ethertype == 0x0800:
        return _ipv4(datagram, on_wire)
    return _ipv6(datagram, on_wire) if ethertype == 0x86DD else "not_ip"


def _ipv4(datagram: bytes, on_wire: int) -> Packet | str:
    if len(datagram) < 20:
        return "truncated_ip"
    header = 4 * (datagram[0] & 15)
    total = _u16(datagram, 2)
    if datagram[0] >> 4 != 4 or header < 20 or 0 < total < header:
        return "ip_header"
    if len(datagram) < header:
        return "truncated_ip"
    addresses = (int.from_bytes(datagram[12:16], "big"), int.from_bytes(datagram[16:20], "big"))
    later = _u16(datagram, 6) & 0x1FFF > 0
    return _transport(datagram, header, total or on_wire, 4, datagram[9], addresses, later)


def _ipv6(datagram: bytes, on_wire: int) -> Packet | str:
    if len(datagram) < 40:
        return "truncated_ip"
    if datagram[0] >> 4 != 6:
        return "ip_header"
    stated = _u16(datagram, 4)
    ip_length = min(stated + 40, 65_535) if stated else on_wire
    addresses = (int.from_bytes(datagram[8:24], "big"), int.from_bytes(datagram[24:40], "big"))
    protocol, header, followed, later = datagram[6], 40, 0, False
    while protocol in (0, 43, 44, 51, 60) and not later:
        followed += 1
        if followed > 8:
            return "ipv6_extensions"
        if len(datagram) < header + 8:
            return "truncated_ip"
        size = 8 * (datagram[header + 1] + 1)
        if protocol == 44:
            size = 8
            later = _u16(datagram, header + 2) >> 3 > 0
        elif protocol == 51:
            size = 4 * (datagram[header + 1] + 2)
        protocol = datagram[header]
        header += size
        if len(datagram) < header:
            return "truncated_ip"
    if header > ip_length:
        return "ip_header"
    return _transport(datagram, header, ip_length, 6, protocol, addresses, later)


def _transport(
    datagram: bytes,
    header: int,
    ip_length: int,
    version: int,
    protocol: int,
    addresses: tuple[int, int],
    later: bool,  # noqa: FBT001
) -> Packet | str:
    rest = ip_length - header
    ports, payload, flags = (0, 0), rest, 0
    needed = {TCP: 20, UDP: 8, SCTP: 12, ICMP: 4, ICMPV6: 4}.get(protocol, 0)
    if needed and not later:
        if min(len(datagram), ip_length) < header + needed:
            return "truncated_transport"
        ports = (_u16(datagram, header), _u16(datagram, header + 2))
        payload = rest - needed
        if protocol == TCP:
            offset = 4 * (datagram[header + 12] >> 4)
            if not 20 <= offset <= rest:
                return "truncated_transport"
            payload, flags = rest - offset, datagram[header + 13]
        elif protocol in COUNTERPARTS:
            kind, code = datagram[header], datagram[header + 1]
            ports = (kind, COUNTERPARTS[protocol].get(kind, code))
            payload = max(0, rest - 8)
    return Packet(version, protocol, *addresses, *ports, ip_length, payload, flags)


def _u16(octets: bytes, at: int) -> int:
    return int.from_bytes(octets[at : at + 2], "big")
