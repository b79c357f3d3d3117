"""Seeded random frames: the traffic of `traffic.py` in every encapsulation, and damaged.

What the packets are is decided there; here they get addresses, headers, fragments, tunnels, tags
and link types, and some are cut short or have a bit turned over.
"""

import random
from ipaddress import IPv4Address, IPv6Address

from frames import icmp, ipv4, ipv6, tcp, udp
from reference_decode import ICMP, ICMPV6, TCP, UDP, Frame, Packet
from traffic import Mixture, random_packets

LABEL, BOTTOM = b"\x00\x01\x20\x40", b"\x00\x01\x21\x40"
MACS = bytes(range(12))
SESSION = b"\x11\x00\x00\x01\x00\x2a"


def random_frames(seed: int, count: int, mixture: Mixture, link_types: bool = True) -> list[Frame]:  # noqa: FBT001, FBT002
    """Frames with their times; without `link_types` all are of Ethernet."""
    generator = random.Random(seed)
    frames = []
    for time_ns, packet in random_packets(seed, count, mixture):
        version, datagram = _datagram(packet, generator)
        if generator.random() < 0.1:
            version, datagram = _tunnelled(version, datagram, generator)
        link_type, before = _link(version, generator, link_types)
        octets = before + datagram
        wire_length = len(octets) + generator.choice((-1, 0, 0, 0, 40, 3_000, 70_000))
        if generator.random() < 0.1:
            octets = octets[: generator.randrange(len(octets) + 1)]
        if generator.random() < 0.05 and octets:
            damaged = bytearray(octets)
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
            octets = bytes(damaged)
        frames.append(Frame(time_ns, octets, wire_length, link_type))
    return frames


def _datagram(packet: Packet, generator: random.Random) -> tuple[int, bytes]:
    """The packet in IP, at times a fragment, at times with options or extension headers."""
    four = packet.version == 4
    address = IPv4Address if four else IPv6Address
    ends = (str(address(packet.source)), str(address(packet.destination)))
    ports = (packet.source_port, packet.destination_port)
    body = bytes(generator.randrange(8))
    if packet.protocol == TCP:
        options = bytes(generator.choice((0, 0, 4, 12)))
        header = {"window": generator.randrange(1 << 16), "options": options}
        segment = tcp(ends[0], ports[0], ends[1], ports[1], packet.tcp_flags, body, **header)
    elif packet.protocol == UDP:
        segment = udp(ends[0], ports[0], ends[1], ports[1], body)
    elif packet.protocol in (ICMP, ICMPV6):
        segment = icmp(*ports, payload=body)
    else:
        segment = bytes(4) + body
    # Whole datagrams, first fragments, and two later ones, of few datagrams.
    offset, more = generator.choice(((0, 0),) * 7 + ((0, 1), (0, 1), (185, 0), (186, 1)))
    identification = generator.randrange(3)
    stated = generator.choice((None, None, None, 0, packet.ip_length))
    if four:
        extra = bytes(generator.choice((0, 0, 0, 4, 8)))
        word = offset | more << 13
        header = {"identification": identification, "fragment": word, "options": extra}
        header["ttl"] = generator.randrange(256)
        return 4, ipv4(segment, packet.protocol, *ends, total_length=stated, **header)
    number, chain = packet.protocol, segment
    if offset or more or generator.random() < 0.1:
        word = (offset << 3 | more).to_bytes(2, "big")
        chain = bytes([number, 0]) + word + identification.to_bytes(4, "big") + chain
        number = 44
    # At times more extension headers than are followed.
    for _ in range(generator.choice((0, 0, 0, 0, 1, 2, 8, 9))):
        chain, number = bytes([number, 0]) + bytes(6) + chain, generator.choice((0, 43, 60))
    stated = None if stated is None else max(0, stated - 40)
    header = {"payload_length": stated, "hop_limit": generator.randrange(256)}
    return 6, ipv6(chain, number, *ends, **header)


def _tunnelled(version: int, datagram: bytes, generator: random.Random) -> tuple[int, bytes]:
    """The datagram in one to three others."""
    for _ in range(generator.choice((1, 1, 2, 3))):
        number = 4 if version == 4 else 41
        hops = generator.randrange(256)
        if generator.random() < 0.5:
            word = generator.choice((0, 0, 0, 0x2000, 185))
            ends = ("192.0.2.1", "192.0.2.2")
            version, datagram = 4, ipv4(datagram, number, *ends, fragment=word, ttl=hops)
        else:
            ends = ("2001:db8:f::1", "2001:db8:f::2")
            version, datagram = 6, ipv6(datagram, number, *ends, hop_limit=hops)
    return version, datagram


def _link(version: int, generator: random.Random, link_types: bool) -> tuple[int, bytes]:  # noqa: FBT001
    """A link type, and what comes before the IP header in it."""
    ethertype = b"\x08\x00" if version == 4 else b"\x86\xdd"
    ppp = b"\x00\x21" if version == 4 else b"\x00\x57"
    tags = [
        generator.choice((b"\x81\x00", b"\x88\xa8", b"\x91\x00")) + b"\x00\x07"
        for _ in range(generator.choice((0, 0, 0, 1, 1, 2, 3)))
    ]
    labels = LABEL * generator.choice((0, 0, 0, 1, 7, 8)) + BOTTOM
    behind_ethertype = generator.choice(
        (
            *(ethertype,) * 6,
            b"\x88\x64" + SESSION + ppp,
            b"\x88\x64" + SESSION + b"\x02\x81" + labels,
            b"\x88\x47" + labels,
            b"\x08\x06",
        )
    )
    tagged = b"".join(tags) + behind_ethertype
    snap = b"\x00\x30\xaa\xaa\x03\x00\x00\x00" + ethertype
    if not link_types or generator.random() < 0.4:
        return 1, MACS + generator.choice((ethertype, ethertype, ethertype, tagged, tagged, snap))
    family = generator.choice((2,) if version == 4 else (10, 24, 28, 30))
    return generator.choice(
        (
            (0, family.to_bytes(4, generator.choice(("little", "big")))),
            (108, family.to_bytes(4, "big")),
            (113, bytes(14) + tagged),
            (276, tagged[:2] + bytes(18) + tagged[2:]),
            (generator.choice((12, 14, 101)), b""),
            (228 if version == 4 else 229, b""),
            (9, generator.choice((b"", b"\xff\x03")) + generator.choice((ppp, ppp[1:]))),
            (50, generator.choice((b"\xff\x03" + ppp, b"\x0f\x00" + ethertype))),
            (51, SESSION + ppp),
            (104, b"\x8f\x00" + ethertype),
            (192, b""),
        )
    )


def fragment_flood(seed: int, count: int) -> list[Frame]:
    """First and later fragments of more datagrams than are remembered, some sent twice."""
    generator = random.Random(seed)
    frames = []
    time_ns = 1_700_000_000_000_000_000
    for index in range(count):
        time_ns += generator.choice((0, 1_000_000, 20_000_000))
        recent = max(0, index - generator.choice((10, 4_000, 9_000)))
        identification = generator.randrange(recent, index + 1)
        first = generator.random() < 0.7
        segment = udp("10.0.0.1", identification, "10.0.0.2", index & 0xFFFF, bytes(8))
        header = {"identification": identification, "fragment": 0x2000 if first else 2}
        header["ttl"] = index % 256
        datagram = ipv4(segment, UDP, "10.0.0.1", "10.0.0.2", **header)
        frames.append(Frame(time_ns, MACS + b"\x08\x00" + datagram))
    return frames
