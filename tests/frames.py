"""Byte builders for frames and pcap files, from the wire formats alone.

Nothing of the sensor is imported, so a test that holds the sensor against these bytes holds it
against a second reading of the RFCs. Checksums are right, lengths too unless a test overrides them.
"""

import struct
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
IPV4, ARP, VLAN, IPV6, QINQ = 0x0800, 0x0806, 0x8100, 0x86DD, 0x88A8

MICROS_LE = bytes.fromhex("d4c3b2a1")
MICROS_BE = bytes.fromhex("a1b2c3d4")
NANOS_LE = bytes.fromhex("4d3cb2a1")
NANOS_BE = bytes.fromhex("a1b23c4d")
MAGICS = (MICROS_LE, MICROS_BE, NANOS_LE, NANOS_BE)
"""The four classic pcap magics as they lie in the file."""

SOURCE_MAC = "02:00:00:00:00:01"
DESTINATION_MAC = "02:00:00:00:00:02"


def checksum(octets: bytes) -> int:
    """Internet checksum, RFC 1071."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(
    payload: bytes,
    ethertype: int = IPV4,
    tags: Sequence[tuple[int, int]] = (),
    source: str = SOURCE_MAC,
    destination: str = DESTINATION_MAC,
) -> bytes:
    """An Ethernet II frame; `tags` are (TPID, TCI) from the outermost inwards."""
    addresses = bytes.fromhex((destination + source).replace(":", ""))
    vlan = b"".join(struct.pack("!HH", tpid, tci) for tpid, tci in tags)
    return addresses + vlan + struct.pack("!H", ethertype) + payload


def ipv4(
    payload: bytes,
    protocol: int,
    source: str,
    destination: str,
    *,
    ttl: int = 64,
    identification: int = 0,
    fragment: int = 0x4000,
    options: bytes = b"",
    total_length: int | None = None,
) -> bytes:
    """An IPv4 datagram (RFC 791); `fragment` is the 16-bit flags and offset word."""
    length = 20 + len(options) + len(payload) if total_length is None else total_length
    addresses = ip_address(source).packed + ip_address(destination).packed
    first = 0x40 | (5 + len(options) // 4)

    def header(value: int) -> bytes:
        words = (first, 0, length, identification, fragment, ttl, protocol, value)
        return struct.pack("!BBHHHBBH", *words) + addresses + options

    return header(checksum(header(0))) + payload


def ipv6(
    payload: bytes,
    next_header: int,
    source: str,
    destination: str,
    *,
    hop_limit: int = 64,
    payload_length: int | None = None,
) -> bytes:
    """An IPv6 packet (RFC 8200); extension headers are part of `payload`."""
    length = len(payload) if payload_length is None else payload_length
    addresses = ip_address(source).packed + ip_address(destination).packed
    return struct.pack("!IHBB", 6 << 28, length, next_header, hop_limit) + addresses + payload


def pseudo_header(source: str, destination: str, protocol: int, length: int) -> bytes:
    """What TCP, UDP and ICMPv6 checksums cover beside the segment (RFC 9293, RFC 8200 8.1)."""
    addresses = ip_address(source).packed + ip_address(destination).packed
    if len(addresses) == 8:
        return addresses + struct.pack("!BBH", 0, protocol, length)
    return addresses + struct.pack("!IHBB", length, 0, 0, protocol)


def tcp(
    source: str,
    source_port: int,
    destination: str,
    destination_port: int,
    flags: int,
    payload: bytes = b"",
    *,
    sequence: int = 0,
    acknowledgement: int = 0,
    window: int = 8192,
    options: bytes = b"",
) -> bytes:
    """A TCP segment (RFC 9293); `options` is a multiple of four bytes."""
    offset = (5 + len(options) // 4) << 4

    def segment(value: int) -> bytes:
        words = (source_port, destination_port, sequence, acknowledgement, offset, flags, window)
        return struct.pack("!HHIIBBHHH", *words, value, 0) + options + payload

    bare = segment(0)
    return segment(checksum(pseudo_header(source, destination, TCP, len(bare)) + bare))


def udp(
    source: str, source_port: int, destination: str, destination_port: int, payload: bytes = b""
) -> bytes:
    """A UDP datagram (RFC 768)."""
    length = 8 + len(payload)
    bare = struct.pack("!HHHH", source_port, destination_port, length, 0) + payload
    value = checksum(pseudo_header(source, destination, UDP, length) + bare) or 0xFFFF
    return bare[:6] + struct.pack("!H", value) + payload


def icmp(kind: int, code: int = 0, rest: bytes = bytes(4), payload: bytes = b"") -> bytes:
    """An ICMP message (RFC 792); `rest` are the four bytes after the checksum."""
    body = rest + payload
    return struct.pack("!BBH", kind, code, checksum(bytes([kind, code, 0, 0]) + body)) + body


def icmpv6(
    source: str,
    destination: str,
    kind: int,
    code: int = 0,
    rest: bytes = bytes(4),
    payload: bytes = b"",
) -> bytes:
    """An ICMPv6 message (RFC 4443)."""
    bare = bytes([kind, code, 0, 0]) + rest + payload
    value = checksum(pseudo_header(source, destination, ICMPV6, len(bare)) + bare)
    return bare[:2] + struct.pack("!H", value) + bare[4:]


def ip_frame(
    segment: bytes,
    protocol: int,
    source: str,
    destination: str,
    tags: Sequence[tuple[int, int]] = (),
) -> bytes:
    """`segment` in IPv4 or IPv6, as the addresses say, in Ethernet."""
    if ip_address(source).version == 4:
        return ethernet(ipv4(segment, protocol, source, destination), IPV4, tags)
    return ethernet(ipv6(segment, protocol, source, destination), IPV6, tags)


def tcp_frame(
    source: str,
    source_port: int,
    destination: str,
    destination_port: int,
    flags: int = ACK,
    payload: bytes = b"",
    tags: Sequence[tuple[int, int]] = (),
) -> bytes:
    """A whole TCP frame."""
    segment = tcp(source, source_port, destination, destination_port, flags, payload)
    return ip_frame(segment, TCP, source, destination, tags)


def udp_frame(
    source: str,
    source_port: int,
    destination: str,
    destination_port: int,
    payload: bytes = b"",
    tags: Sequence[tuple[int, int]] = (),
) -> bytes:
    """A whole UDP frame."""
    segment = udp(source, source_port, destination, destination_port, payload)
    return ip_frame(segment, UDP, source, destination, tags)


def icmp_frame(
    source: str,
    destination: str,
    kind: int,
    code: int = 0,
    rest: bytes = bytes(4),
    payload: bytes = b"",
    tags: Sequence[tuple[int, int]] = (),
) -> bytes:
    """A whole ICMP or ICMPv6 frame, as the addresses say."""
    if ip_address(source).version == 4:
        return ip_frame(icmp(kind, code, rest, payload), ICMP, source, destination, tags)
    segment = icmpv6(source, destination, kind, code, rest, payload)
    return ip_frame(segment, ICMPV6, source, destination, tags)


def arp_frame(source: str, destination: str, operation: int = 1) -> bytes:
    """An ARP request or reply (RFC 826), padded to the 60 bytes of the shortest frame."""
    addresses = bytes.fromhex(SOURCE_MAC.replace(":", "")) + ip_address(source).packed
    addresses += bytes(6) + ip_address(destination).packed
    body = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation) + addresses
    return ethernet(body.ljust(46, b"\0"), ARP)


def pcap_bytes(
    frames: Sequence[bytes],
    times_ns: Sequence[int] | None = None,
    magic: bytes = MICROS_LE,
    *,
    snaplen: int = 262_144,
    link_type: int = 1,
    wire_lengths: Sequence[int] | None = None,
) -> bytes:
    """A classic pcap file (draft-ietf-opsawg-pcap).

    Frames are cut to `snaplen`. Without `times_ns` they lie one millisecond apart from
    1,700,000,000 s on; the microsecond magics round times down.
    """
    order = "<" if magic in (MICROS_LE, NANOS_LE) else ">"
    unit_ns = 1 if magic in (NANOS_LE, NANOS_BE) else 1_000
    if times_ns is None:
        times_ns = [1_700_000_000_000_000_000 + 1_000_000 * k for k in range(len(frames))]
    lengths = [len(frame) for frame in frames] if wire_lengths is None else wire_lengths
    parts = [magic + struct.pack(f"{order}HHiIII", 2, 4, 0, 0, snaplen, link_type)]
    for frame, time_ns, wire_length in zip(frames, times_ns, lengths, strict=True):
        seconds, fraction = divmod(time_ns, 1_000_000_000)
        kept = frame[:snaplen]
        words = (seconds, fraction // unit_ns, len(kept), wire_length)
        parts += [struct.pack(f"{order}IIII", *words), kept]
    return b"".join(parts)


def write_pcap(
    path: Path,
    frames: Sequence[bytes],
    times_ns: Sequence[int] | None = None,
    magic: bytes = MICROS_LE,
) -> Path:
    """Writes `pcap_bytes` to `path` and returns the path."""
    path.write_bytes(pcap_bytes(frames, times_ns, magic))
    return path


def sll(payload: bytes, protocol: int = IPV4) -> bytes:
    """A frame of a Linux cooked capture (LINKTYPE_LINUX_SLL): sent to us, from an Ethernet."""
    return struct.pack("!HHH8sH", 0, 1, 6, bytes(8), protocol) + payload


def sll2(payload: bytes, protocol: int = IPV4) -> bytes:
    """A frame of a Linux cooked capture v2 (LINKTYPE_LINUX_SLL2)."""
    return struct.pack("!HHIHBB8s", protocol, 0, 2, 1, 0, 6, bytes(8)) + payload


def pppoe(payload: bytes, protocol: int = 0x0021, *, first: int = 0x11, code: int = 0) -> bytes:
    """A PPPoE session packet (RFC 2516), from its version on."""
    return struct.pack("!BBHHH", first, code, 7, len(payload) + 2, protocol) + payload


def mpls(payload: bytes, labels: int = 1, *, bottom: bool = True) -> bytes:
    """A stack of MPLS labels (RFC 3032); without `bottom` the last one announces another."""
    words = [(16 + k) << 12 | (bottom and k == labels - 1) << 8 | 64 for k in range(labels)]
    return struct.pack(f"!{labels}I", *words) + payload


def snap(payload: bytes, ethertype: int = IPV4, organization: bytes = bytes(3)) -> bytes:
    """An IEEE 802.3 frame with LLC and SNAP headers (RFC 1042)."""
    body = bytes.fromhex("aaaa03") + organization + struct.pack("!H", ethertype) + payload
    return ethernet(body, len(body))


def ipv6_fragment(
    payload: bytes, next_header: int, offset: int, *, more: bool, identification: int = 1
) -> bytes:
    """An IPv6 fragment header (RFC 8200 section 4.5) and what follows; `offset` in octets."""
    words = (next_header, 0, offset | more, identification)
    return struct.pack("!BBHI", *words) + payload
